"""The page of imports and exports: send a file in, order a file, fetch it, see what went wrong."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.core.http.deps import SessionDep, SettingsDep
from app.exchange import service as exchange
from app.exchange.detection import Format, ImportFormat
from app.identity.deps import CanManage
from app.images.models import Split
from app.projects.deps import ProjectDep
from app.web.job_pages import ACTIVE
from app.web.languages import Language, choose_language, translations
from app.web.requests import page_router
from app.web.templating import render

router = page_router("/projects/{slug}/exchange")


@router.get("", summary="Imports and exports of a project", response_class=HTMLResponse)
def exchange_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    settings: SettingsDep,
    principal: CanManage,
) -> HTMLResponse:
    names = format_names(choose_language(request, principal.locale))
    return render(
        request,
        "exchange.html",
        principal=principal,
        project=project,
        jobs=exchange.recent_jobs(session, project.id),
        active=ACTIVE,
        import_formats={member.value: names[member] for member in ImportFormat},
        export_formats={member.value: names[member] for member in Format},
        splits=list(Split),
        megabytes=settings.upload_max_bytes // 2**20,
    )


def format_names(language: Language) -> dict[str, str]:
    _ = translations(language).gettext
    return {
        ImportFormat.AUTO: _("By the content of the file"),
        ImportFormat.PACK: _("Pack: images/, labels.csv, classes.tsv"),
        ImportFormat.CSV_LONG: _("CSV, a row for each label"),
        ImportFormat.CSV_WIDE: _("CSV, a column for each label"),
        ImportFormat.COCO: _("COCO labels (JSON)"),
        ImportFormat.LABEL_STUDIO: _("Label Studio (JSON)"),
        ImportFormat.PHOTOS: _("Photos without labels"),
    }
