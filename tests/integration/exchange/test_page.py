"""The page of imports and exports, as the server writes it."""

import pytest

from app.jobs.models import Job, JobKind, JobState


@pytest.fixture
def page(client, project):
    """A function that reads the page in a language."""

    def page(language: str = "en") -> str:
        client.cookies.set("kizu_language", language)
        answer = client.get(f"/projects/{project.slug}/exchange")
        assert answer.status_code == 200
        return answer.text

    return page


def add_job(session, project, kind, state=JobState.SUCCEEDED, **columns):
    job = Job(project_id=project.id, kind=kind, state=state, **{"payload": {}, **columns})
    session.add(job)
    session.commit()
    return job


def test_both_languages_name_every_format(page):
    assert "Label Studio (JSON)" in page("en")
    assert "ラベルなしの写真" in page("ja")


def test_a_finished_export_can_be_fetched(session, project, page):
    result = {"file_name": "parts-coco.json", "images": 7}
    job = add_job(session, project, JobKind.EXPORT, result=result)
    text = page()
    assert f'href="/api/v1/projects/{project.slug}/exports/{job.id}/file"' in text
    assert "7 photos" in text


def test_an_import_says_what_it_did_and_what_it_did_not(session, project, page):
    from app.exchange.schemas import ImportReport

    report = ImportReport(created=3, annotations=2, unknown_labels={"<hole>": 4})
    report.reject("bad.png", "The file is empty.")
    payload = {"file_name": "pack.zip"}
    result = report.model_dump(mode="json")
    add_job(session, project, JobKind.IMPORT, payload=payload, result=result)
    text = page()
    assert "pack.zip: 3 photos new, 0 already there, 2 labelled" in text
    assert "bad.png: The file is empty." in text
    assert "&lt;hole&gt; (4)" in text


def test_a_failed_import_says_why(session, project, page):
    error = {"title": "t", "detail": "The zip is damaged.", "code": "invalid"}
    add_job(session, project, JobKind.IMPORT, JobState.FAILED, error=error)
    assert "The zip is damaged." in page()


def test_a_running_one_shows_its_progress(session, project, page):
    add_job(session, project, JobKind.EXPORT, JobState.RUNNING, progress=0.4)
    assert "data-active" in page()
