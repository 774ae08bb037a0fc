"""Each filter finds what it says, several must all hold, and what does not exist is refused."""

from datetime import timedelta

from app.annotations.models import LabelValue, Source
from app.core.clock import now
from app.images.models import ImageState, Split
from app.projects.models import Label
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import PseudoLabelState
from tests.factories import make_images, make_project

PRESENT, ABSENT, UNSURE = LabelValue.PRESENT, LabelValue.ABSENT, LabelValue.UNSURE


def found(shelf, **query) -> set[str]:
    return set(shelf.names(**query))


def test_by_what_is_known_about_labels(shelf):
    for name in ("scratched", "clean", "doubtful", "nothing", "guessed"):
        shelf.add(name)
    shelf.state("scratched", scratch=PRESENT, dent=ABSENT)
    shelf.state("clean", complete=True)
    shelf.state("doubtful", scratch=UNSURE)
    shelf.state("guessed", source=Source.AUTO, scratch=PRESENT)
    shelf.session.commit()
    expected = {
        "scratch": {"scratched", "guessed"},
        "scratch:present": {"scratched", "guessed"},
        "scratch:absent": {"clean"},
        "scratch:unsure": {"doubtful"},
        "scratch:unknown": {"nothing"},
        "dent:absent": {"scratched", "clean"},
        "dent:unknown": {"doubtful", "nothing", "guessed"},
    }
    for label, names in expected.items():
        assert found(shelf, label=label) == names, label
    assert found(shelf, label=["scratch:present", "dent:absent"]) == {"scratched"}
    assert found(shelf, label=["scratch:present", "scratch:absent"]) == set()
    assert found(shelf, annotated=True) == {"scratched", "clean", "doubtful"}
    assert found(shelf, annotated=False) == {"nothing", "guessed"}


def test_an_archived_label_can_still_be_asked_about(shelf):
    shelf.add("old")
    shelf.state("old", scratch=PRESENT)
    shelf.session.get(Label, shelf.labels["scratch"].id).archived_at = now()
    shelf.session.commit()
    assert found(shelf, label="scratch") == {"old"}
    (item,) = shelf.get().json()["items"]
    assert item["labels"] == {"scratch": {"value": "present", "source": "human"}}


def test_by_what_is_suggested_and_what_is_done(shelf):
    for name in ("waiting", "decided", "plain"):
        shelf.add(name)
    shelf.suggest("waiting", scratch=0.9, dent=0.8)
    shelf.suggest("decided", scratch=0.9)
    shelf.state("decided", complete=True, scratch=PRESENT)
    shelf.session.commit()
    assert found(shelf, has_pseudo_labels=True) == {"waiting"}
    assert found(shelf, has_pseudo_labels=False) == {"decided", "plain"}
    assert found(shelf, reviewed=True) == {"decided"}
    assert found(shelf, reviewed=False) == {"waiting", "plain"}
    (item,) = shelf.get(has_pseudo_labels=True).json()["items"]
    suggested = {one["label"]: (one["value"], one["confidence"]) for one in item["pseudo_labels"]}
    assert suggested == {"scratch": ("present", 0.9), "dent": ("present", 0.8)}
    assert item["labels"] == {}


def test_suggestions_on_control_photos_are_nowhere_before_they_are_decided(shelf):
    """Not in listings, their filter, on the photo, its page, nor by their own address."""
    shelf.project.control_rate = 1.0
    image = shelf.add("blind", arm_draw=0.99)
    shelf.suggest("blind", scratch=0.91)
    (row,) = pseudolabels.lock_open(shelf.session, image.id)
    shelf.session.commit()
    base = f"/api/v1/projects/{shelf.project.slug}"

    def look():
        photo = shelf.client.get(f"{shelf.path}/{image.id}").json()["pseudo_labels"]
        (listed,) = shelf.get().json()["items"]
        page = shelf.client.get(f"/projects/{shelf.project.slug}/images/{image.id}")
        assert page.status_code == 200
        by_itself = shelf.client.get(f"{base}/pseudo-labels/{row.id}").status_code
        states = [
            state
            for state in PseudoLabelState
            if shelf.client.get(f"{base}/pseudo-labels", params={"state": state}).json()["items"]
        ]
        shown = found(shelf, has_pseudo_labels=True)
        return photo, listed["pseudo_labels"], shown, "is-suggested" in page.text, by_itself, states

    nothing = ([], [], set(), False, 404, [])
    assert look() == nothing
    assert found(shelf, has_pseudo_labels=False) == {"blind"}
    row.state = PseudoLabelState.SUPERSEDED
    shelf.session.commit()
    assert look() == nothing
    shelf.state("blind", scratch=PRESENT)
    shelf.session.commit()
    assert look() == ([], [], set(), False, 200, [PseudoLabelState.SUPERSEDED])
    row.state = PseudoLabelState.PENDING
    shelf.session.commit()
    assert look() == ([], [], set(), False, 200, [])


def test_by_state_split_and_capture_data(shelf):
    shelf.add("a", line="L1", station="S1", camera="top", lot="A", part="P")
    shelf.add("b", line="L2", lot="A", split=Split.TEST)
    shelf.add("c", state=ImageState.RECEIVED, split=Split.EVALUATION)
    shelf.session.commit()
    expected = [
        ({"line": "L1"}, {"a"}),
        ({"station": "S1"}, {"a"}),
        ({"camera": "top"}, {"a"}),
        ({"part": "P"}, {"a"}),
        ({"lot": "A"}, {"a", "b"}),
        ({"lot": "A", "line": "L2"}, {"b"}),
        ({"line": "l1"}, set()),
        ({"state": "received"}, {"c"}),
        ({"state": "ready", "split": "test"}, {"b"}),
        ({"split": "evaluation"}, {"c"}),
        ({"split": "train"}, {"a"}),
    ]
    for query, names in expected:
        assert found(shelf, **query) == names, query


def test_by_time_from_inclusive_until_exclusive(shelf):
    """Where the camera said nothing, the time of arrival counts."""
    noon = now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)
    shelf.add("early", captured_at=noon - timedelta(hours=1))
    shelf.add("noon", captured_at=noon)
    shelf.add("late", created_at=noon + timedelta(hours=1))
    shelf.session.commit()
    assert found(shelf, captured_from=noon.isoformat()) == {"noon", "late"}
    assert found(shelf, captured_until=noon.isoformat()) == {"early"}
    elsewhere = (noon + timedelta(hours=9)).replace(tzinfo=None).isoformat() + "+09:00"
    assert found(shelf, captured_from=elsewhere, captured_until=elsewhere) == set()
    assert found(shelf, captured_from=elsewhere) == {"noon", "late"}


def test_by_part_of_the_name(shelf):
    for name in ("Board-01", "board_02", "傷_03", "100%"):
        shelf.add(name)
    shelf.session.commit()
    expected = {
        "board": {"Board-01", "board_02"},
        "BOARD-": {"Board-01"},
        "_": {"board_02", "傷_03"},
        "%": {"100%"},
        "傷": {"傷_03"},
        "\\": set(),
        ".png": {"Board-01", "board_02", "傷_03", "100%"},
    }
    for part, names in expected.items():
        assert found(shelf, file_name=part) == names, part


def test_deleted_photos_and_those_of_other_projects_are_never_found(shelf):
    shelf.add("here")
    shelf.add("gone", deleted_at=now())
    make_images(shelf.session, make_project(shelf.session), 2)
    shelf.session.commit()
    assert shelf.names() == ["here"]
    assert shelf.client.get(f"{shelf.path}/{shelf.images['gone'].id}").status_code == 404


def test_what_does_not_exist_is_refused_not_ignored(shelf):
    shelf.session.commit()
    unknown = [
        {"lable": "scratch"}, {"offset": 10}, {"label": "rust"}, {"label": "scratch:maybe"},
        {"sort": "size"}, {"state": "lost"}, {"split": "holdout"},
    ]  # fmt: skip
    wrong = [
        {"limit": 0}, {"limit": 501}, {"limit": "all"}, {"reviewed": "perhaps"},
        {"captured_from": "2026-11-05T08:00:00"}, {"captured_until": "soon"},
        {"file_name": "x" * 201}, {"file_name": "a\0b"}, {"line": "\0"},
    ]  # fmt: skip
    for query in unknown + wrong:
        answer = shelf.get(**query)
        assert (answer.status_code, answer.json()["status"]) == (422, 422), query
        assert answer.headers["content-type"] == "application/problem+json"


def test_one_photo_says_all_that_is_known(shelf):
    image = shelf.add("one", lot="A")
    shelf.suggest("one", dent=0.9)
    shelf.state("one", scratch=ABSENT)
    shelf.session.commit()
    answer = shelf.client.get(f"{shelf.path}/{image.id}")
    assert answer.headers["etag"] == f'"{image.version}"'
    body = answer.json()
    assert body["labels"] == {"scratch": {"value": "absent", "source": "human"}}
    assert [one["label"] for one in body["pseudo_labels"]] == ["dent"]
    assert body == shelf.get().json()["items"][0]
