"""What versions and snapshots say of labels, under the keys that the labels have now.

It is kept by label id: people may rename a key at any time, even give it to another label.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

LabelKeys = Mapping[UUID, str]


def by_key(found: Mapping[str, Any], keys: LabelKeys) -> dict[str, Any]:
    return {keys[UUID(label_id)]: value for label_id, value in found.items()}


def with_keys(document: Mapping[str, Any], keys: LabelKeys, *members: str) -> dict[str, Any]:
    """The document, whose `members` (where it has them) are by label id."""
    return {
        name: by_key(value, keys) if name in members else value for name, value in document.items()
    }
