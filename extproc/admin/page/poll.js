// Asking the sidecar: every two seconds while somebody looks, less often when nobody has touched anything for an hour,
// and ever less often while there is no answer.

const POLL_MS = 2_000;
const IDLE_POLL_MS = 10_000;
const IDLE_AFTER_MS = 3_600_000;
const RETRY_FACTOR = 1.5;
const MAX_RETRY_MS = 15_000;
const ANSWER_MS = 10_000;

class Poll {
  constructor({ onAnswer, onLoss }) {
    Object.assign(this, { onAnswer, onLoss });
    this.failures = 0;
    this.timer = 0;
    this.isAsking = false;
    this.touched = performance.now();
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => (this.touched = performance.now()));
    document.addEventListener("visibilitychange", () => this.resume());
    addEventListener("online", () => this.resume());
  }

  resume() {
    clearTimeout(this.timer);
    if (document.hidden) return;
    this.touched = performance.now();
    this.ask();
  }

  async ask() {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      const recent = await fetchRecent();
      this.show(recent);
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      this.onLoss(error instanceof Refusal ? error.message : "");
    }
    this.isAsking = false;
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.ask(), this.pauseMs);
  }

  show(recent) {
    try {
      this.onAnswer(recent);
    } catch (error) {
      console.error(error);
      throw new Refusal("it answers with something that this page cannot show");
    }
  }

  get pauseMs() {
    if (this.failures) return Math.min(POLL_MS * RETRY_FACTOR ** (this.failures - 1), MAX_RETRY_MS);
    return performance.now() - this.touched > IDLE_AFTER_MS ? IDLE_POLL_MS : POLL_MS;
  }
}

/** There is an answer, and it is none. */
class Refusal extends Error {}

async function fetchRecent() {
  const answer = await fetch("./recent", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  if (!answer.ok) throw new Refusal(`it answers ${answer.status}`);
  try {
    return await answer.json();
  } catch {
    throw new Refusal("it answers with something else than JSON");
  }
}
