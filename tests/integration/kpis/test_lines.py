"""KPIs of one line, and of each: a line is measured against its own control arm."""

from decimal import Decimal

import pytest
from sqlalchemy import update

from app.annotations.models import Source
from app.core.clock import now
from app.images.models import Arm
from app.kpis import service
from app.projects import service as projects
from app.projects.models import Counter
from app.pseudolabels import acceptance
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from tests.integration.kpis.conftest import ASSISTED, CONTROL


def photo(office, line, arm_draw=ASSISTED, **confidences):
    image = office.photo(arm_draw, **confidences)
    image.line = line
    office.session.flush()
    return image


def clear(office, *images):
    """A model decides them, and nobody looks."""
    office.session.execute(
        update(PseudoLabel)
        .where(PseudoLabel.image_id.in_([image.id for image in images]))
        .values(state=PseudoLabelState.AUTO_ACCEPTED, decided_at=now())
    )
    waiting = Counter.PENDING_PSEUDO_LABELS
    projects.adjust_counter(office.session, office.project.id, waiting, -len(images))
    for image in images:
        office.state(image, "scratch", source=Source.AUTO)
    acceptance.clear(office.session, [image.id for image in images])


@pytest.fixture
def plant(make_office):
    """Two lines of unlike work, and a photo that names none."""
    office = make_office(hourly_cost=Decimal(3600))
    for line, without, having in (("L1", 10, 4), ("L2", 60, 50)):
        for seconds in (without - 2, without + 2):
            office.review(photo(office, line, CONTROL, scratch=0.9), seconds=seconds)
        office.review(photo(office, line, scratch=0.9), seconds=having)
    office.review(office.photo(dent=0.9), seconds=5)
    return office


def saved_seconds(figures):
    return figures.time_saved and figures.time_saved.hours * 3600


def test_each_line_has_its_figures(plant):
    first, second, nameless = plant.kpis().lines
    assert [x.line for x in (first, second, nameless)] == ["L1", "L2", None]
    assert [x.finished_images for x in (first, second, nameless)] == [3, 3, 1]
    assert saved_seconds(first) == pytest.approx(10 - 4)
    assert saved_seconds(second) == pytest.approx(60 - 50)
    assert first.time_saved.money == pytest.approx(6)
    assert first.time_saved.low_hours < first.time_saved.hours < first.time_saved.high_hours
    assert nameless.time_saved is None
    assert first.images_per_hour == pytest.approx(3 * 3600 / 24)
    assert (first.acceptance_rate.value, first.acceptance_rate.count) == (1, 1)


def test_the_figures_of_a_line_are_those_that_the_filter_gives(plant):
    for row in plant.kpis().lines[:2]:
        alone = plant.kpis(line=row.line)
        assert alone.line == row.line
        assert alone.lines == [row]
        assert alone.finished_images == row.finished_images
        assert alone.time_saved == row.time_saved
        assert alone.acceptance_rate == row.acceptance_rate
        assert alone.images_per_hour == row.images_per_hour


def test_a_line_that_nobody_knows_has_nothing(plant):
    nothing = plant.kpis(line="L9")
    assert (nothing.finished_images, nothing.time_saved, nothing.series) == (0, None, [])
    assert (nothing.lines, nothing.active_hours, nothing.agreement) == ([], 0, None)
    assert nothing.queue.oldest_seconds is None


def test_without_lines_there_is_no_table_of_them(office):
    office.review(office.photo(scratch=0.9), seconds=3)
    assert office.kpis().lines == []
    assert service.list_lines(office.session, office.project) == []


def test_the_lines_of_a_project_are_listed_once_in_order(plant, make_office):
    other = make_office()
    photo(other, "A0")
    photo(plant, "L10")
    assert service.list_lines(plant.session, plant.project) == ["L1", "L10", "L2"]


def test_audits_cleared_photos_and_the_queue_belong_to_their_line(plant):
    cleared, opened = (photo(plant, "L2", scratch=0.99) for _ in range(2))
    clear(plant, cleared, opened)
    plant.state(opened, "scratch", arm=Arm.AUDIT, active_ms=7000)
    waiting = photo(plant, "L1", scratch=0.9, dent=0.9)
    first, second, _ = plant.kpis().lines
    assert first.time_saved.auto_accepted_images == 0
    assert second.time_saved.auto_accepted_images == 1
    assert second.time_saved.audit_seconds == 7
    assert saved_seconds(second) == pytest.approx(10 + 60 - 7)
    assert plant.kpis(line="L1").queue.pending_pseudo_labels == 2
    assert plant.kpis(line="L2").queue.pending_pseudo_labels == 0
    assert plant.kpis().queue.pending_pseudo_labels == 2
    plant.state(waiting)
    assert plant.kpis(line="L1").queue.oldest_seconds is None


def test_the_series_adds_up_to_the_period(plant):
    clear(plant, photo(plant, "L1", scratch=0.99))
    plant.state(photo(plant, "L2"), "dent", complete=False, arm=Arm.AUDIT, active_ms=3000)
    kpis = plant.kpis(bucket="week")
    assert (kpis.time_saved.auto_accepted_images, kpis.time_saved.audit_seconds) == (1, 3)
    assert sum(x.saved_hours for x in kpis.series) == pytest.approx(kpis.time_saved.hours)
    assert sum(x.finished_images for x in kpis.series) == kpis.finished_images
    (week,) = kpis.series
    assert (week.saved_low_hours, week.saved_high_hours) == pytest.approx(
        (kpis.time_saved.low_hours, kpis.time_saved.high_hours)
    )
    assert week.images_per_hour == kpis.images_per_hour
    rate = kpis.acceptance_rate
    assert (week.acceptance_low, week.acceptance_high) == (rate.low, rate.high)
