"""What the official SDKs of Bedrock, Cohere, Mistral and Ollama are asked, each call with the total its SDK tells."""

from __future__ import annotations

import json
from typing import Any

import ollama
from support.clients import Clients

QUESTION = "What is recursion? Antworte auf Deutsch, s'il vous plaît 🙏"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
BLOCKS: Any = [{"role": "user", "content": [{"text": QUESTION}]}]
CACHED: Any = [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]

CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
MISTRAL_7B = "mistral.mistral-7b-instruct-v0:2"
COMMAND = "command-a-03-2025"


def bedrock_converse(clients: Clients) -> int:
    answer = clients.bedrock.converse(modelId=CLAUDE, messages=BLOCKS, system=CACHED)
    total: int = answer["usage"]["totalTokens"]
    return total


def bedrock_converse_profile(clients: Clients) -> int:
    answer = clients.bedrock.converse(modelId=PROFILE, messages=BLOCKS, inferenceConfig={"maxTokens": 7})
    total: int = answer["usage"]["totalTokens"]
    return total


def bedrock_converse_stream(clients: Clients) -> int:
    answer = clients.bedrock.converse_stream(modelId=CLAUDE, messages=BLOCKS, system=CACHED)
    return sum(event["metadata"]["usage"]["totalTokens"] for event in answer["stream"] if "metadata" in event)


def ask_claude() -> str:
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    ask = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "system": system, "messages": MESSAGES}
    return json.dumps(ask)


def bedrock_invoke(clients: Clients) -> int:
    answer = clients.bedrock.invoke_model(modelId=CLAUDE, body=ask_claude())
    usage = json.loads(answer["body"].read())["usage"]
    parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    return sum(usage[part] for part in parts)


def bedrock_invoke_stream(clients: Clients) -> int:
    answer = clients.bedrock.invoke_model_with_response_stream(modelId=CLAUDE, body=ask_claude())
    return total_of(answer["body"])


def bedrock_invoke_headers(clients: Clients) -> int:
    answer = clients.bedrock.invoke_model(modelId=MISTRAL_7B, body=json.dumps({"prompt": QUESTION}))
    assert set(json.loads(answer["body"].read())) == {"outputs"}
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return sum(int(headers[f"x-amzn-bedrock-{side}-token-count"]) for side in ("input", "output"))


def bedrock_invoke_other_stream(clients: Clients) -> int:
    body = json.dumps({"prompt": QUESTION, "max_tokens": 9})
    return total_of(clients.bedrock.invoke_model_with_response_stream(modelId=MISTRAL_7B, body=body)["body"])


def total_of(events: Any) -> int:
    """Return the sum of the metrics in the last chunk of a stream."""
    documents = [json.loads(event["chunk"]["bytes"]) for event in events]
    metrics = documents[-1]["amazon-bedrock-invocationMetrics"]
    return sum(value for name, value in metrics.items() if name.endswith("TokenCount"))


def cohere_chat(clients: Clients) -> int:
    return cohere_total(clients.cohere.chat(model=COMMAND, messages=MESSAGES).usage)


def cohere_chat_stream(clients: Clients) -> int:
    ends = [
        event for event in clients.cohere.chat_stream(model=COMMAND, messages=MESSAGES) if event.type == "message-end"
    ]
    assert ends[0].delta is not None
    return cohere_total(ends[0].delta.usage)


def cohere_chat_of_version_1(clients: Clients) -> int:
    return cohere_total(clients.cohere_v1.chat(model="command-r", message=QUESTION).meta)


def cohere_chat_stream_of_version_1(clients: Clients) -> int:
    events = clients.cohere_v1.chat_stream(model="command-r", message=QUESTION)
    ends = [event for event in events if event.event_type == "stream-end"]
    return cohere_total(ends[0].response.meta)


def cohere_embed(clients: Clients) -> int:
    answer = clients.cohere.embed(
        model="embed-v4.0", texts=[QUESTION, "hi"], input_type="search_document", embedding_types=["float"]
    )
    assert answer.meta is not None
    assert answer.meta.billed_units is not None
    return int(answer.meta.billed_units.input_tokens or 0)


def cohere_total(usage: Any) -> int:
    """Return what was used, which is not what is billed."""
    assert usage.billed_units.input_tokens < usage.tokens.input_tokens
    return int(usage.tokens.input_tokens + usage.tokens.output_tokens)


def mistral_chat(clients: Clients) -> int:
    return clients.mistral.chat.complete(model="mistral-small-latest", messages=MESSAGES).usage.total_tokens or 0


def mistral_chat_stream(clients: Clients) -> int:
    with clients.mistral.chat.stream(model="mistral-small-latest", messages=MESSAGES) as events:
        return sum(event.data.usage.total_tokens or 0 for event in events if event.data.usage)


def mistral_embeddings(clients: Clients) -> int:
    return clients.mistral.embeddings.create(model="mistral-embed", inputs=[QUESTION, "hi"]).usage.total_tokens or 0


def ollama_chat(clients: Clients) -> int:
    return ollama_total(clients.ollama.chat(model="llama3.2", messages=MESSAGES))


def ollama_chat_stream(clients: Clients) -> int:
    return ollama_total(list(clients.ollama.chat(model="llama3.2", messages=MESSAGES, stream=True))[-1])


def ollama_generate(clients: Clients) -> int:
    return ollama_total(clients.ollama.generate(model="llama3.2", prompt=QUESTION, system="Be brief."))


def ollama_generate_stream(clients: Clients) -> int:
    return ollama_total(list(clients.ollama.generate(model="llama3.2", prompt=QUESTION, stream=True))[-1])


def ollama_embed(clients: Clients) -> int:
    return clients.ollama.embed(model="all-minilm", input=[QUESTION, "hi"]).prompt_eval_count or 0


def ollama_total(last: ollama.ChatResponse | ollama.GenerateResponse) -> int:
    return (last.prompt_eval_count or 0) + (last.eval_count or 0)
