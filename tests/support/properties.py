"""How hard Hypothesis tries a property that is tried of very many things."""

from __future__ import annotations

from hypothesis import settings

# A quarter of the examples for each thing, which are thousands together.
OF_MANY = settings(max_examples=settings().max_examples // 4)
