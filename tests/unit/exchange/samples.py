"""Records as hypothesis makes them: any file name, every value, every origin."""

import io
from collections.abc import Callable
from datetime import UTC
from typing import IO

from hypothesis import strategies as st

from app.annotations.models import LabelValue
from app.exchange.records import DeclaredLabel, LabelState, Origin, Record

KEYS = ("scratch", "dent", "split", "complete", "-minus-first", "_x", "0")
LABELS = tuple(DeclaredLabel(key, f"a photo of {key}, = 'closer'") for key in KEYS)

file_names = st.one_of(
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=["Cc", "Cs"]),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(
        ["=SUM(A1).png", "'=1.jpg", "''+a", "@x", "-1.png", '傷, "深い".png', "a;b\u2028c.tif"]
    ),
)
stated = st.builds(
    LabelState,
    value=st.sampled_from(LabelValue),
    origin=st.sampled_from([Origin.HUMAN, Origin.IMPORT]),
    reviewer=st.one_of(st.none(), st.sampled_from(["a@example.com", "=2+2", "検査員"])),
    decided_at=st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
)
suggested = st.builds(
    LabelState,
    value=st.sampled_from([LabelValue.PRESENT, LabelValue.ABSENT]),
    origin=st.sampled_from([Origin.AUTO, Origin.PSEUDO]),
    score=st.floats(0, 1),
    model_version=st.sampled_from(["1", "12"]),
)


@st.composite
def any_record(draw, name: str) -> Record:
    """Complete ones state every label, as the exporter writes them."""
    is_complete = draw(st.booleans())
    if is_complete:
        states = {key: draw(stated) for key in KEYS}
    else:
        some = st.dictionaries(st.sampled_from(KEYS), st.one_of(stated, suggested), max_size=5)
        states = draw(some)
        is_complete = False
    return Record(
        file_name=name,
        states=states,
        is_complete=is_complete,
        split=draw(st.sampled_from([None, "train", "evaluation", "test"])),
        sha256=draw(st.sampled_from([None, "ab" * 32])),
        width=draw(st.sampled_from([None, 640])),
        height=draw(st.sampled_from([None, 480])),
    )


@st.composite
def many_records(draw) -> list[Record]:
    names = draw(st.lists(file_names, unique=True, max_size=5))
    return [draw(any_record(name)) for name in names]


def opener(content: str | bytes, encoding: str = "utf-8") -> Callable[[], IO[bytes]]:
    raw = content if isinstance(content, bytes) else content.encode(encoding)
    return lambda: io.BytesIO(raw)


def written(write: Callable[..., None], *arguments) -> Callable[[], IO[bytes]]:
    """What a writer makes of its arguments, ready to be read."""
    out = io.StringIO(newline="")
    write(*arguments, out)
    return opener(out.getvalue())
