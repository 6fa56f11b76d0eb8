"""Names that other systems know: OpenTelemetry's GenAI vocabulary, our metadata keys and namespaces, Envoy's own.

Literals on purpose. The GenAI conventions are moving to a repository of their own, so importing them would tie us to a
module that is being emptied; tests/test_semconv.py pins them instead. Imports nothing of ours.
"""

from __future__ import annotations

from typing import Final

# gen_ai.provider.name, where OpenTelemetry has a value for the service.
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/#gen-ai-provider-name
ANTHROPIC: Final = "anthropic"
AWS_BEDROCK: Final = "aws.bedrock"
AZURE_AI_INFERENCE: Final = "azure.ai.inference"
AZURE_AI_OPENAI: Final = "azure.ai.openai"
COHERE: Final = "cohere"
DEEPSEEK: Final = "deepseek"
GCP_GEMINI: Final = "gcp.gemini"
GCP_VERTEX_AI: Final = "gcp.vertex_ai"
GROQ: Final = "groq"
IBM_WATSONX_AI: Final = "ibm.watsonx.ai"
MISTRAL_AI: Final = "mistral_ai"
OPENAI: Final = "openai"
PERPLEXITY: Final = "perplexity"
X_AI: Final = "x_ai"

# gen_ai.operation.name
CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"
GENERATE_CONTENT: Final = "generate_content"
TEXT_COMPLETION: Final = "text_completion"

# Operations it has no name for; the conventions ask for names of one's own then.
OWN_IMAGE_GENERATION: Final = "image_generation"
OWN_SPEECH: Final = "speech"
OWN_TRANSCRIPTION: Final = "transcription"

# Namespaces of dynamic metadata. The second is the one kgateway documents; the third is read by Envoy itself.
NAMESPACE: Final = "ai.gateway"
KGATEWAY_NAMESPACE: Final = "ai.gateway.kgateway.dev"
RATELIMIT_NAMESPACE: Final = "envoy.ratelimit"
DEFAULT_NAMESPACES: Final = (NAMESPACE, KGATEWAY_NAMESPACE)

# Namespaces in which Envoy's AI Protocol Manager says what it has read of an exchange.
REQUEST_INFO_NAMESPACE: Final = "envoy.ai.request_info"
TOKEN_USAGE_NAMESPACE: Final = "envoy.ai.token_usage"  # noqa: S105 - a token of speech

# Keys of dynamic metadata under the first two namespaces.
KEY_PROMPT_TOKENS: Final = "prompt_tokens"
KEY_COMPLETION_TOKENS: Final = "completion_tokens"
KEY_TOTAL_TOKENS: Final = "total_tokens"
KEY_CACHED_TOKENS: Final = "cached_tokens"
KEY_CACHE_CREATION_TOKENS: Final = "cache_creation_tokens"
KEY_REASONING_TOKENS: Final = "reasoning_tokens"
KEY_AUDIO_PROMPT_TOKENS: Final = "audio_prompt_tokens"
KEY_AUDIO_COMPLETION_TOKENS: Final = "audio_completion_tokens"
KEY_TOOL_USE_PROMPT_TOKENS: Final = "tool_use_prompt_tokens"
KEY_BILLED_INPUT_TOKENS: Final = "billed_input_tokens"
KEY_BILLED_OUTPUT_TOKENS: Final = "billed_output_tokens"
KEY_PROVIDER_TOTAL_TOKENS: Final = "provider_total_tokens"
KEY_USAGE_SOURCE: Final = "usage_source"
KEY_COST_USD_MICROS: Final = "cost_usd_micros"
KEY_MODEL: Final = "model"
KEY_PROVIDER_MODEL: Final = "provider_model"
KEY_PROVIDER: Final = "provider"
KEY_OPERATION: Final = "operation"
KEY_STREAMING: Final = "streaming"
KEY_FINISH_REASON: Final = "finish_reason"
KEY_ERROR_TYPE: Final = "error_type"
KEY_TIME_TO_FIRST_TOKEN_MS: Final = "time_to_first_token_ms"  # noqa: S105 - a token of speech

# The key Envoy's rate limit filter reads under envoy.ratelimit.
KEY_HITS_ADDEND: Final = "hits_addend"

# gRPC initial metadata by which an Envoy route names the provider, as kgateway's control plane sets it.
PROVIDER_INITIAL_METADATA: Final = "x-llm-provider"
