"""Who goes live: the gate, a manager's word, one call back; exactly one version at a time."""

import pytest
from sqlalchemy import select

from app.core.audit import AuditEvent
from app.core.errors import Conflict, NotFound
from app.core.ids import new_id
from app.jobs.contracts import TrainPayload
from app.jobs.models import Job, JobKind
from app.training import gate, service, snapshots
from app.training.models import ModelState
from app.training.service import NotEnoughLabels, Trained
from tests.factories import make_project, make_version


def finish_training(line, *, verdict=None, **payload):
    """What a worker does at the end of a training."""
    job = Job(
        project_id=line.project.id,
        kind=JobKind.TRAIN,
        payload=TrainPayload(**payload).model_dump(mode="json"),
    )
    line.session.add(job)
    line.session.flush()
    snapshot = snapshots.build(line.session, line.project.id)
    snapshots.record(
        line.session, snapshot, project_id=line.project.id, job_id=job.id, blob_key="k"
    )
    trained = Trained(
        version_id=new_id(),
        label_ids=[label.id for label in line.labels],
        weights_prefix="jobs/x/1",
        card={"backbone": "kizu-small"},
        metrics={"map": {"value": 0.7}},
        gate=verdict or gate.first_version(),
    )
    version = service.publish(line.session, job, trained)
    return version, service.predict_after_training(line.session, job, version)


def against(number, *, passed):
    return {"passed": passed, "reason": "as planted", "against": number, "labels": {}}


def live_number(line):
    live = service.live_version(line.session, line.project.id)
    return live.number if live else None


def test_the_first_version_goes_live_and_looks_at_the_photos(line):
    version, prediction = finish_training(line)
    assert (version.number, version.state) == (1, ModelState.LIVE)
    assert version.promoted_at is not None
    assert prediction.kind == JobKind.PREDICT
    assert prediction.payload["model_version_id"] == str(version.id)


def test_a_training_may_leave_the_looking_to_its_caller(line):
    _, prediction = finish_training(line, predict=False)
    assert prediction is None


@pytest.mark.parametrize(("passed", "live"), [(True, 2), (None, 2), (False, 1)])
def test_the_gate_decides_about_later_versions(line, passed, live):
    finish_training(line)
    version, prediction = finish_training(line, verdict=against(1, passed=passed))
    assert version.number == 2
    assert live_number(line) == live
    assert (prediction is None) is (passed is False)
    states = [v.state for v in service.list_versions(line.session, line.project.id)]
    assert states.count(ModelState.LIVE) == 1


def test_a_gate_measured_against_another_version_lets_nothing_through(line):
    finish_training(line)
    finish_training(line, verdict=against(1, passed=True))
    late, _ = finish_training(line, verdict=against(1, passed=True))
    assert late.state == ModelState.CANDIDATE
    assert "Version 2 went live" in late.gate["reason"]


def test_a_manager_may_promote_what_the_gate_stopped(line):
    first, _ = finish_training(line)
    second, _ = finish_training(line, verdict=against(1, passed=False))
    job = service.promote(line.session, second, actor_id=None)
    assert live_number(line) == 2
    assert first.state == ModelState.RETIRED
    assert first.retired_at is not None
    assert job.payload["model_version_id"] == str(second.id)
    with pytest.raises(Conflict, match="live already"):
        service.promote(line.session, second, actor_id=None)


def test_rolling_back_walks_back_through_what_was_live(line):
    for number in range(3):
        finish_training(line, verdict=against(number, passed=True) if number else None)
    assert live_number(line) == 3
    for expected in (2, 1):
        service.roll_back(line.session, line.project.id, actor_id=None)
        assert live_number(line) == expected
    with pytest.raises(Conflict, match="No version was live before version 1"):
        service.roll_back(line.session, line.project.id, actor_id=None)


def test_a_version_that_was_rolled_back_is_not_what_one_goes_back_to(line):
    finish_training(line)
    finish_training(line, verdict=against(1, passed=True))
    service.roll_back(line.session, line.project.id, actor_id=None)
    finish_training(line, verdict=against(1, passed=True))
    assert live_number(line) == 3
    service.roll_back(line.session, line.project.id, actor_id=None)
    assert live_number(line) == 1


def test_nothing_live_cannot_be_rolled_back(line):
    with pytest.raises(Conflict, match="no live model"):
        service.roll_back(line.session, line.project.id, actor_id=None)


def test_a_retired_version_looks_at_no_photos(line):
    former, _ = finish_training(line)
    finish_training(line, verdict=against(1, passed=True))
    assert former.state == ModelState.RETIRED
    with pytest.raises(Conflict, match="is retired"):
        service.start_prediction(line.session, line.project, former.id, actor_id=None)


def test_every_change_is_in_the_audit_trail(line):
    finish_training(line)
    finish_training(line, verdict=against(1, passed=True))
    service.roll_back(line.session, line.project.id, actor_id=None)
    actions = line.session.scalars(
        select(AuditEvent.action)
        .where(AuditEvent.object_type == "model_version")
        .order_by(AuditEvent.id)
    ).all()
    assert actions == [
        "model.created",
        "model.promoted_by_gate",
        "model.created",
        "model.promoted_by_gate",
        "model.rolled_back",
    ]


def test_versions_of_other_projects_are_not_found(line):
    other = make_project(line.session)
    version = make_version(line.session, other, [])
    with pytest.raises(NotFound):
        service.get_version(line.session, line.project.id, version.id)
    with pytest.raises(NotFound):
        service.get_version_by_number(line.session, line.project.id, 1)
    assert service.get_version_by_number(line.session, other.id, 1).id == version.id


def test_a_training_needs_a_label_and_a_labelled_photo(line):
    empty = make_project(line.session, labels=())
    with pytest.raises(NotEnoughLabels, match="Add a label"):
        service.start_training(line.session, empty, TrainPayload(), actor_id=None)
    (unsure,) = line.images(1)
    line.state(unsure, scratch="unsure")
    (evaluation,) = line.images(1, split="evaluation")
    line.state(evaluation, scratch="present")
    with pytest.raises(NotEnoughLabels, match="Annotate at least one photo"):
        service.start_training(line.session, line.project, TrainPayload(), actor_id=None)
    line.state(unsure, scratch="absent")
    job = service.start_training(line.session, line.project, TrainPayload(), actor_id=None)
    assert job.kind == JobKind.TRAIN
