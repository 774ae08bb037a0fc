"""HTTP of two model versions side by side."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Query

from app.annotations import service as annotations
from app.core.errors import Invalid, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.identity.deps import CanRead
from app.projects.deps import ProjectDep
from app.pseudolabels import comparison
from app.pseudolabels.comparison import ChangedAnswer, LabelFigures
from app.pseudolabels.schemas import (
    ChangedAnswerOut,
    ComparisonQuery,
    EstimateOut,
    LabelComparisonOut,
    ModelComparisonOut,
)
from app.training import service as training
from app.training.models import ModelVersion

router = make_router("/projects/{slug}", "Models")


@router.get(
    "/models/{version_id}/comparison",
    summary="A model version beside another, on the same photos",
    response_model=ModelComparisonOut,
    responses=responses(NotFound),
)
def compare_models(
    project: ProjectDep,
    version_id: UUID,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[ComparisonQuery, Query()],
) -> ModelComparisonOut:
    """On evaluation photos that both have looked at, by what people say of them today. A version
    that is neither live nor was has looked once a prediction of it was asked for."""
    version = training.get_version(session, project.id, version_id)
    against = _other(session, project.id, query.against)
    comparison.ensure_comparable([version, against])
    exam = comparison.examine(session, [version, against])
    changes = comparison.changes(exam, version.id, against.id)
    keys = annotations.label_keys(session, project.id)
    figures = comparison.compare(exam, against.id)
    return ModelComparisonOut(
        number=version.number,
        against=against.number,
        photos=exam.photos,
        labels=[_label(one, version, against, keys) for one in figures],
        mended_count=len(changes.mended),
        newly_wrong_count=len(changes.newly_wrong),
        mended=_answers(changes.mended[: query.limit], keys),
        newly_wrong=_answers(changes.newly_wrong[: query.limit], keys),
    )


def _other(session: SessionDep, project_id: UUID, wanted: UUID | None) -> ModelVersion:
    if wanted is not None:
        return training.get_version(session, project_id, wanted)
    live = training.live_version(session, project_id)
    if live is None:
        raise Invalid("The project has no live model: say which version to compare with.")
    return live


def _label(
    figures: LabelFigures, version: ModelVersion, against: ModelVersion, keys: Mapping[UUID, str]
) -> LabelComparisonOut:
    def given(estimate: object) -> EstimateOut | None:
        return None if estimate is None else EstimateOut.model_validate(estimate)

    return LabelComparisonOut(
        label=keys[figures.label_id],
        photos=figures.photos,
        positives=figures.positives,
        ap=given(figures.precisions.get(version.id)),
        against_ap=given(figures.precisions.get(against.id)),
        difference=given(figures.differences.get(version.id)),
        finding=figures.finding(version.id),
    )


def _answers(answers: Sequence[ChangedAnswer], keys: Mapping[UUID, str]) -> list[ChangedAnswerOut]:
    return [
        ChangedAnswerOut(
            image_id=one.image_id,
            file_name=one.file_name,
            label=keys[one.label_id],
            value=one.value,
            before=one.before,
            after=one.after,
        )
        for one in answers
    ]
