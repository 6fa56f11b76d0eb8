"""Who answers at which authority: the table of vendors.

Owns: the names of providers, and the hosts they are known by. One line adds a vendor that speaks an API we know. Names
are OpenTelemetry's where it has one, else the service's own in snake_case. Must not know flavours.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from extproc import semconv


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider and the globs of the authorities it answers at: hosts, or host and port where the glob has a colon.

    `paths` is a glob of the paths it answers there, for hosts that several providers share.
    """

    provider: str
    authorities: tuple[str, ...]
    paths: str = "*"

    def answers(self, host: str, authority: str, path: str) -> bool:
        """Say whether a request to this authority (`host` without its port, both lower case) and path is for it."""
        return fnmatchcase(path, self.paths) and any(
            fnmatchcase(authority if ":" in glob else host, glob) for glob in self.authorities
        )


def _vendor(provider: str, *authorities: str, paths: str = "*") -> Vendor:
    return Vendor(provider, authorities, paths)


# The first that answers wins.
VENDORS: tuple[Vendor, ...] = (
    # Its first address looks like one of Azure's own.
    _vendor("github", "models.github.ai", "models.inference.ai.azure.com"),
    # OpenTelemetry has a name for these: gen_ai.provider.name.
    _vendor(semconv.OPENAI, "api.openai.com", "*.api.openai.com"),
    _vendor(semconv.ANTHROPIC, "api.anthropic.com"),
    _vendor(semconv.GCP_GEMINI, "generativelanguage.googleapis.com"),
    _vendor(semconv.GCP_VERTEX_AI, "aiplatform.googleapis.com", "*-aiplatform.googleapis.com",
            "aiplatform.*.rep.googleapis.com", "*.prediction.vertexai.goog"),
    _vendor(semconv.AZURE_AI_OPENAI, "*.openai.azure.com", "*.openai.azure.us", "*.cognitiveservices.azure.com"),
    _vendor(semconv.AZURE_AI_OPENAI, "*.services.ai.azure.com", paths="*/openai/*"),
    _vendor(semconv.AZURE_AI_INFERENCE, "*.services.ai.azure.com", "*.models.ai.azure.com", "*.inference.ai.azure.com",
            "*.inference.ml.azure.com"),
    _vendor(semconv.AWS_BEDROCK, "bedrock-runtime.*.amazonaws.com*", "bedrock-runtime-fips.*.amazonaws.com",
            "*.bedrock-runtime.*.vpce.amazonaws.com", "bedrock-runtime.*.api.aws", "bedrock-mantle.*.api.aws"),
    _vendor(semconv.COHERE, "api.cohere.com", "api.cohere.ai", "*.api.cohere.com", "*.api.cohere.ai"),
    _vendor(semconv.MISTRAL_AI, "api.mistral.ai", "codestral.mistral.ai"),
    _vendor(semconv.GROQ, "api.groq.com"),
    _vendor(semconv.DEEPSEEK, "api.deepseek.com"),
    _vendor(semconv.X_AI, "api.x.ai", "*.api.x.ai"),
    _vendor(semconv.PERPLEXITY, "api.perplexity.ai"),
    _vendor(semconv.IBM_WATSONX_AI, "*.ml.cloud.ibm.com", "*.wxai.ibm.com"),
    # These go by their own names.
    _vendor("ai21", "api.ai21.com"),
    _vendor("aleph_alpha", "api.aleph-alpha.com"),
    _vendor("arcee", "api.arcee.ai", "conductor.arcee.ai"),
    _vendor("atlascloud", "api.atlascloud.ai"),
    _vendor("avian", "api.avian.io"),
    _vendor("aws_sagemaker", "runtime.sagemaker.*.amazonaws.com*"),
    _vendor("baidu_qianfan", "qianfan.baidubce.com"),
    _vendor("baseten", "inference.baseten.co", "*.api.baseten.co"),
    _vendor("braintrust", "api.braintrust.dev", "gateway.braintrust.dev", "braintrustproxy.com"),
    _vendor("cerebras", "api.cerebras.ai"),
    _vendor("chutes", "llm.chutes.ai"),
    _vendor("cloudflare", "api.cloudflare.com", "gateway.ai.cloudflare.com"),
    _vendor("crusoe", "api.inference.crusoecloud.com", "*.crusoecloud.com"),
    _vendor("dashscope", "dashscope.aliyuncs.com", "dashscope-*.aliyuncs.com", "*.maas.aliyuncs.com"),
    _vendor("databricks", "*.databricks.com", "*.azuredatabricks.net"),
    _vendor("deepinfra", "api.deepinfra.com"),
    _vendor("digitalocean", "inference.do-ai.run", "*.agents.do-ai.run"),
    _vendor("doubleword", "api.doubleword.ai"),
    _vendor("featherless_ai", "api.featherless.ai"),
    _vendor("fireworks_ai", "api.fireworks.ai"),
    _vendor("friendli", "api.friendli.ai", "inference.friendli.ai"),
    _vendor("galadriel", "api.galadriel.com"),
    _vendor("github_copilot", "*.githubcopilot.com", "copilot-api.*.ghe.com", "copilot-proxy.githubusercontent.com"),
    _vendor("heroku", "*.inference.heroku.com"),
    _vendor("huggingface", "router.huggingface.co", "api-inference.huggingface.co", "*.endpoints.huggingface.cloud"),
    _vendor("hyperbolic", "api.hyperbolic.xyz"),
    _vendor("inception", "api.inceptionlabs.ai"),
    _vendor("inference_net", "api.inference.net"),
    _vendor("jina_ai", "api.jina.ai"),
    _vendor("kluster_ai", "api.kluster.ai"),
    _vendor("lambda", "api.lambda.ai", "api.lambdalabs.com"),
    _vendor("meta", "api.llama.com"),
    _vendor("minimax", "api.minimax.io", "api.minimaxi.com", "api.minimax.chat", "api.minimaxi.chat"),
    _vendor("mira", "api.mira.network", "apis.mira.network"),
    _vendor("modelscope", "api-inference.modelscope.cn"),
    _vendor("moonshot_ai", "api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
    _vendor("morph", "api.morphllm.com"),
    _vendor("nebius", "api.studio.nebius.ai", "api.studio.nebius.com", "api.tokenfactory.nebius.com",
            "api.tokenfactory.*.nebius.com"),
    _vendor("nomic", "api-atlas.nomic.ai"),
    _vendor("novita", "api.novita.ai"),
    _vendor("nscale", "inference.api.nscale.com"),
    _vendor("nvidia", "integrate.api.nvidia.com", "ai.api.nvidia.com"),
    _vendor("ollama", "ollama.com", "*:11434"),
    _vendor("openrouter", "openrouter.ai"),
    _vendor("oracle", "inference.generativeai.*.oci.oraclecloud.com"),
    _vendor("ovhcloud", "*.endpoints.kepler.ai.cloud.ovh.net"),
    _vendor("parasail", "api.parasail.io"),
    _vendor("poe", "api.poe.com"),
    _vendor("portkey", "api.portkey.ai"),
    _vendor("pydantic_ai_gateway", "gateway.pydantic.dev", "gateway-*.pydantic.dev"),
    _vendor("reka", "api.reka.ai"),
    _vendor("replicate", "api.replicate.com", "openai-proxy.replicate.com"),
    _vendor("requesty", "router.requesty.ai", "router.*.requesty.ai"),
    _vendor("sambanova", "api.sambanova.ai"),
    _vendor("scaleway", "api.scaleway.ai"),
    _vendor("siliconflow", "api.siliconflow.com", "api.siliconflow.cn"),
    _vendor("snowflake", "*.snowflakecomputing.com"),
    _vendor("stepfun", "api.stepfun.com", "api.stepfun.ai"),
    _vendor("tencent_hunyuan", "api.hunyuan.cloud.tencent.com"),
    _vendor("together_ai", "api.together.xyz", "api.together.ai"),
    _vendor("upstage", "api.upstage.ai"),
    _vendor("venice", "api.venice.ai"),
    _vendor("vercel", "ai-gateway.vercel.sh"),
    _vendor("volcengine", "ark.*.volces.com", "ark.*.bytepluses.com"),
    _vendor("voyage_ai", "api.voyageai.com"),
    _vendor("wandb", "api.inference.wandb.ai"),
    _vendor("writer", "api.writer.com"),
    _vendor("xiaomi_mimo", "api.xiaomimimo.com", "*.xiaomimimo.com"),
    _vendor("z_ai", "api.z.ai", "open.bigmodel.cn"),
)  # fmt: skip
