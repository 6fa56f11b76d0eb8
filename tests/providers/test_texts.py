"""The texts of requests, and of the answers of every flavour."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from extproc.providers import openai_chat
from extproc.providers.bedrock_invoke import INVOKE
from extproc.providers.bedrock_llama import LLAMA
from extproc.providers.bedrock_titan import TEXT
from extproc.providers.detect import FLAVOURS
from extproc.providers.texts import MAX_VALUES, json_text, no_text, parts_said, read_prompt
from extproc.providers.vertex_predict import PREDICT

FLAVOUR = {**FLAVOURS, "bedrock_llama": LLAMA, "bedrock_titan_text": TEXT, "bedrock_invoke": INVOKE, "predict": PREDICT}
DEEP: Any = "text"
for _ in range(2000):
    DEEP = [DEEP]


def said(flavour: str, *documents: dict[str, Any]) -> dict[str, str]:
    """Return what documents say, run by run."""
    found: dict[str, str] = defaultdict(str)
    read = FLAVOUR[flavour].read_texts
    assert read is not None
    for document in documents:
        for run, text in read(document):
            if text and isinstance(text, str):
                found[str(run)] += text
    return dict(found)


def chat(**part: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": part}]}


def call(**function: Any) -> list[dict[str, Any]]:
    return [{"index": 1, "function": function}]


@pytest.mark.parametrize(
    ("flavour", "documents", "texts"),
    [
        ("openai_chat", [chat(content="a"), chat(content="b"), chat(reasoning="c")], ["ab", "c"]),
        ("openai_chat", [chat(reasoning_content="a", reasoning="a"), chat(refusal="no")], ["a", "no"]),
        (
            "openai_chat",
            [chat(tool_calls=call(name="f", arguments="")), chat(tool_calls=call(arguments="{}"))],
            ["f{}"],
        ),
        (
            "openai_chat",
            [{"choices": [{"message": {"function_call": {"name": "f", "arguments": {"a": 1}}}}]}],
            ['f{"a":1}'],
        ),
        ("openai_chat", [{"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]}], ["a"]),
        ("openai_chat", [{"outputs": [{"content": "a"}]}, {"content": "b"}], ["ab"]),
        ("openai_completions", [{"choices": [{"text": "a"}, {"text": "b"}]}], ["a", "b"]),
        ("openai_embeddings", [{"data": [{"embedding": [1.0]}]}], []),
        (
            "openai_responses",
            [
                {"type": "response.output_item.added", "output_index": 0, "item": {"name": "f"}},
                {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
                {"type": "response.output_text.delta", "output_index": 1, "delta": "a"},
                {"type": "response.output_audio.delta", "delta": "AAAA"},
                {"type": "response.output_text.done", "text": "a"},
                {"type": "response.completed", "response": {"output": [{"content": [{"text": "a"}]}]}},
            ],
            ["f{}", "a"],
        ),
        (
            "openai_responses",
            [
                {
                    "output": [
                        {"content": [{"text": "a"}]},
                        {"summary": [{"text": "b"}]},
                        {"name": "f", "arguments": "{}"},
                    ]
                }
            ],
            ["a", "b", "f{}"],
        ),
        (
            "anthropic_messages",
            [
                {"type": "message_start", "message": {"content": []}},
                {"type": "content_block_start", "index": 1, "content_block": {"name": "f", "input": {}}},
                {"type": "content_block_delta", "index": 1, "delta": {"partial_json": "{}"}},
                {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}},
                {"type": "content_block_delta", "index": 0, "delta": {"thinking": "b"}},
            ],
            ["f{}", "a", "b"],
        ),
        (
            "anthropic_messages",
            [{"content": [{"text": "a"}, {"thinking": "b"}, {"name": "f", "input": {"a": 1}}]}],
            ["a", "b", 'f{"a":1}'],
        ),
        (
            "gemini_generate",
            [
                {"candidates": [{"content": {"parts": [{"text": "a", "thought": True}, {"text": "b"}]}}]},
                {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]},
                {"candidates": [{"content": {"parts": [{"executableCode": {"code": "1+1"}}]}}]},
            ],
            ["a", "b", 'f{"a":1}', "1+1"],
        ),
        (
            "gemini_interactions",
            [
                {"event_type": "step.delta", "index": 0, "delta": {"text": "a"}},
                {"event_type": "step.delta", "index": 0, "delta": {"content": {"text": "b"}}},
                {"event_type": "step.delta", "index": 1, "delta": {"name": "f", "arguments": {"a": 1}}},
                {"event_type": "interaction.completed", "interaction": {"steps": [{"text": "ab"}]}},
            ],
            ["ab", 'f{"a":1}'],
        ),
        ("gemini_interactions", [{"steps": [{"content": [{"text": "a"}]}, {"name": "f"}]}], ["a", "f"]),
        ("bedrock_converse", [{"output": {"message": {"content": [{"text": "a"}]}}}], ["a"]),
        (
            "bedrock_converse",
            [
                {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"name": "f"}}}},
                {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}},
                {"contentBlockIndex": 1, "delta": {"text": "a"}},
                {"contentBlockIndex": 2, "delta": {"reasoningContent": {"text": "b"}}},
            ],
            ["f{}", "a", "b"],
        ),
        (
            "bedrock_invoke",
            [{"outputs": [{"text": "a"}]}, {"completions": [{"data": {"text": "b"}}]}],
            ["a", "b"],
        ),
        ("bedrock_llama", [{"generation": "a"}, {"generation": "b"}], ["ab"]),
        ("bedrock_titan_text", [{"outputText": "a"}, {"results": [{"outputText": "b"}]}], ["a", "b"]),
        (
            "cohere_chat",
            [
                {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "a"}}}},
                {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "b"}}},
                {
                    "type": "tool-call-start",
                    "index": 1,
                    "delta": {"message": {"tool_calls": {"function": {"name": "f"}}}},
                },
            ],
            ["a", "b", "f"],
        ),
        (
            "cohere_chat",
            [{"message": {"content": [{"text": "a"}], "tool_calls": [{"function": {"arguments": "{}"}}]}}],
            ["a", "{}"],
        ),
        (
            "cohere_chat_v1",
            [
                {"event_type": "text-generation", "text": "a"},
                {"event_type": "tool-calls-chunk", "tool_calls": [{"name": "x"}]},
                {"event_type": "tool-calls-generation", "tool_calls": [{"name": "f", "parameters": {"a": 1}}]},
                {"event_type": "stream-end", "response": {"text": "a"}, "text": "a"},
            ],
            ["a", "f", '{"a":1}'],
        ),
        ("cohere_generate", [{"generations": [{"text": "a"}, {"text": "b"}]}], ["a", "b"]),
        (
            "ollama_chat",
            [
                {"message": {"content": "a", "thinking": "b"}},
                {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}},
            ],
            ["b", "a", 'f{"a":1}'],
        ),
        ("ollama_generate", [{"response": "a"}, {"response": "b"}], ["ab"]),
        ("tgi_generate", [{"token": {"text": "a"}}, {"token": {"text": "b"}, "generated_text": "ab"}], ["ab"]),
        ("llama_cpp_completion", [{"content": "a"}], ["a"]),
        ("aleph_alpha_complete", [{"completions": [{"completion": "a"}]}, {"completion": "b"}], ["a", "b"]),
        ("replicate_predictions", [{"output": ["a", "b"]}], ["ab"]),
        ("watsonx_generation", [{"results": [{"generated_text": "a"}]}], ["a"]),
        ("anthropic_complete", [{"completion": "a"}], ["a"]),
        ("predict", [{"predictions": [{"content": "a"}]}], ["a"]),
    ],
)
def test_an_answer_says_each_text_once(flavour: str, documents: list[dict[str, Any]], texts: list[str]) -> None:
    """In runs of what belongs together, whether it comes at once or in pieces."""
    assert sorted(said(flavour, *documents).values()) == sorted(texts)


@pytest.mark.parametrize(
    ("flavour", "event", "is_plain"),
    [
        ("openai_chat", chat(content="a"), True),
        ("openai_chat", chat(reasoning="a"), True),
        ("openai_chat", chat(role="assistant"), True),
        ("openai_chat", {"choices": [{"index": 3, "delta": {"content": "a"}}]}, True),
        ("openai_chat", chat(tool_calls=call(arguments="{}")), True),
        ("openai_chat", chat(tool_calls=call(name="f", arguments="{}")), False),
        ("openai_chat", chat(tool_calls=call()), True),
        ("openai_chat", chat(tool_calls=[{"index": 0}]), False),
        ("openai_chat", chat(tool_calls=call(arguments="{}"), content="a"), False),
        ("openai_chat", chat(tool_calls=call(arguments="{}") * 2), False),
        ("openai_chat", chat(content="a", reasoning="b"), False),
        ("openai_chat", chat(refusal="a"), False),
        ("openai_chat", {"choices": [{"text": "a"}, {"index": 1, "text": "b"}]}, False),
        ("openai_completions", {"choices": [{"text": "a"}]}, False),
        ("anthropic_messages", {"type": "content_block_delta", "index": 1, "delta": {"text": "a"}}, True),
        ("anthropic_messages", {"type": "content_block_delta", "index": 1, "delta": {"partial_json": "{"}}, True),
        ("anthropic_messages", {"type": "content_block_delta", "index": 1, "delta": {"thinking": "a"}}, True),
        ("anthropic_messages", {"type": "content_block_delta", "index": 1, "delta": {}}, False),
        ("anthropic_messages", {"type": "content_block_start", "content_block": {"name": "f"}}, False),
        ("openai_responses", {"type": "response.output_text.delta", "output_index": 1, "delta": "a"}, True),
        ("openai_responses", {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "a"}, True),
        ("openai_responses", {"type": "response.output_text.delta", "output_index": 1, "delta": ""}, True),
        ("openai_responses", {"type": "response.output_audio.delta", "delta": "AAAA"}, False),
    ],
)
def test_a_plain_event_says_what_a_closer_look_tells(flavour: str, event: dict[str, Any], *, is_plain: bool) -> None:
    """How it is read must not change what is counted."""
    quiet = FLAVOUR[flavour].quiet
    assert quiet is not None
    plainly = msgspec.json.decode(json.dumps(event), type=quiet).said()
    assert (plainly is not None) == is_plain
    if plainly is not None:
        run, text = plainly
        assert said(flavour, event) == ({str(run): text} if text else {})


@pytest.mark.parametrize(
    ("request_", "texts"),
    [
        ({"messages": [{"role": "user", "content": "a"}]}, ["a"]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, ["a"]),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}]}, []),
        ({"messages": [{"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}]}, ["f", "{}"]),
        (
            {"system": "a", "messages": [{"content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}]}]},
            ["a", "f", '{"a":1}'],
        ),
        ({"contents": [{"parts": [{"text": "a"}, {"inlineData": {"data": "AA"}}]}]}, ["a"]),
        ({"input": "a", "instructions": "b"}, ["b", "a"]),
        ({"prompt": ["a", "b"]}, ["a", "b"]),
        ({"inputText": "a"}, ["a"]),
        ({"message": "a", "chat_history": [{"role": "USER", "message": "b"}]}, ["b", "a"]),
        ({"prompt": "data:image/png;base64,AAAA", "model": "m", "user": "b"}, []),
        ({"input": DEEP, "text": None}, []),
    ],
)
def test_a_prompt_is_all_that_a_model_is_given_to_read(request_: dict[str, Any], texts: list[str]) -> None:
    """Of any API; media, ids and words of the API are none of it."""
    assert read_prompt(request_).texts == texts


def test_a_prompt_knows_what_is_around_its_texts() -> None:
    """Messages and tools have words around them; and a schema that answers have to follow is read, too."""
    tools = [{"function": {"name": "f"}}]
    asked = {"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}], "tools": tools}
    prompt = read_prompt(asked)
    assert (prompt.message_count, prompt.has_tools, prompt.schemas) == (2, True, [json_text(tools)])
    schema = {"generationConfig": {"temperature": 1, "responseSchema": {"type": "object"}}}
    assert read_prompt(schema).schemas == ['{"type":"object"}']
    assert read_prompt({"text": {"verbosity": "low"}, "generationConfig": [1], "tools": []}).schemas == []
    assert read_prompt({"input": "a"}).message_count == 1


def test_a_prompt_in_tokens_is_as_many() -> None:
    """OpenAI's older APIs take them."""
    assert read_prompt({"prompt": [1, 2, 3]}).token_count == 3
    assert read_prompt({"input": [[1, 2], [3]]}).token_count == 3


def test_a_prompt_of_too_many_values_is_not_read_to_its_end() -> None:
    """All streams wait for who reads it."""
    assert read_prompt({"messages": ["a"] * 1000}).is_whole
    prompt = read_prompt({"messages": [["a"]] * MAX_VALUES, "input": [["b"]] * MAX_VALUES})
    assert not prompt.is_whole
    assert len(prompt.texts) < MAX_VALUES


def test_what_is_no_text_is_none() -> None:
    """And what can't be written neither."""
    assert json_text("a") == "a"
    assert json_text({"ä": [1]}) == '{"ä":[1]}'
    assert json_text({"a": "\ud800"}) == '{"a":"\ud800"}'
    assert json_text(DEEP) == ""
    assert list(parts_said("run", None, "text")) == []
    assert list(no_text({"text": "a"})) == []
    assert openai_chat.EMBEDDINGS.read_texts is no_text
