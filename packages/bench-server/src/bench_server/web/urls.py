"""Every page's address. Each is made by `page`, which keeps its rules; another is not served."""

from django.urls import path

from bench_server.accounts import pages as accounts
from bench_server.code import pages as code
from bench_server.datasets import pages as datasets
from bench_server.projects import pages as projects
from bench_server.runs import compare_pages, file_pages, live_pages, log_pages
from bench_server.runs import pages as runs
from bench_server.tracks import batch_pages, media_pages
from bench_server.tracks import pages as tracks
from bench_server.web.assets import AssetPage
from bench_server.web.pages import page

urlpatterns = [
    path("", page(projects.ProjectsPage), name="projects"),
    path("assets/<str:digest>/<str:name>", page(AssetPage), name="asset"),
    path("sign-in", page(accounts.SignInPage), name="sign-in"),
    path("sign-in/link", page(accounts.SignInLinkPage), name="sign-in-link"),
    path("sign-out", page(accounts.SignOutPage), name="sign-out"),
    path("first-account", page(accounts.FirstAccountPage), name="first-account"),
    path("invitation", page(accounts.InvitationPage), name="invitation"),
    path("invitations", page(accounts.InvitationsPage), name="invitations"),
    path(
        "invitations/<uuid:invitation_id>/revoke",
        page(accounts.RevokeInvitationPage),
        name="revoke-invitation",
    ),
    path("account/password", page(accounts.PasswordPage), name="password"),
    path("account/tokens", page(accounts.TokensPage), name="tokens"),
    path("account/tokens/<uuid:token_id>/revoke", page(accounts.RevokeTokenPage), name="revoke-token"),
    path("projects/new", page(projects.NewProjectPage), name="new-project"),
    path("projects/<uuid:project_id>", page(datasets.DatasetsPage), name="project"),
    path("projects/<uuid:project_id>/members", page(projects.MembersPage), name="members"),
    path("projects/<uuid:project_id>/members/remove", page(projects.RemoveMemberPage), name="remove-member"),
    path("projects/<uuid:project_id>/delete", page(projects.DeleteProjectPage), name="delete-project"),
    path("projects/<uuid:project_id>/datasets/<str:dataset>", page(datasets.DatasetPage), name="dataset"),
    path(
        "projects/<uuid:project_id>/datasets/<str:dataset>/<int:number>",
        page(datasets.VersionPage),
        name="version",
    ),
    path(
        "projects/<uuid:project_id>/datasets/<str:dataset>/<int:number>/files/<int:sample>/<int:place>",
        page(datasets.SampleFilePage),
        name="sample-file",
    ),
    path(
        "projects/<uuid:project_id>/datasets/<str:dataset>/<int:number>/delete",
        page(datasets.DeleteVersionPage),
        name="delete-version",
    ),
    path("projects/<uuid:project_id>/code", page(code.CodePage), name="code"),
    path("projects/<uuid:project_id>/code/<int:number>", page(code.CodeVersionPage), name="code-version"),
    path("projects/<uuid:project_id>/runs", page(runs.RunsPage), name="runs"),
    path("projects/<uuid:project_id>/compare", page(compare_pages.ComparePage), name="compare"),
    path("projects/<uuid:project_id>/runs/events", page(live_pages.RunsEventsPage), name="runs-events"),
    *(
        path(f"projects/<uuid:project_id>/runs/<uuid:run_id>{rest}", page(kind), name=name)
        for rest, kind, name in (
            ("", runs.RunPage, "run"),
            ("/events", live_pages.RunEventsPage, "run-events"),
            ("/batch", batch_pages.RunBatchPage, "run-batch"),
            ("/media", media_pages.RunMediaPage, "run-media"),
            ("/media/<int:number>", media_pages.RunMediumPage, "run-medium"),
            ("/chart", tracks.RunChartPage, "run-chart"),
            ("/setup", runs.RunSetupPage, "run-setup"),
            ("/log", log_pages.RunLogPage, "run-log"),
            ("/log/lines", log_pages.RunLogLinesPage, "run-log-lines"),
            ("/log/file", log_pages.RunLogFilePage, "run-log-file"),
            ("/files", file_pages.RunFilesPage, "run-files"),
            ("/files/<path:path>", file_pages.RunFilePage, "run-file"),
            ("/stop", runs.StopRunPage, "stop-run"),
            ("/resume", runs.ResumeRunPage, "resume-run"),
            ("/delete", runs.DeleteRunPage, "delete-run"),
        )
    ),
]

handler400 = "bench_server.web.errors.bad_request"
handler404 = "bench_server.web.errors.not_found"
handler500 = "bench_server.web.errors.failed"
