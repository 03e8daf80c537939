"""bench.projects.v1 on the server."""

from bench_protos.projects.v1 import projects_pb2 as pb

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.errors import invalid
from bench_server.projects import services
from bench_server.rpc.convert import member_message, project_message
from bench_server.rpc.paging import page


class ProjectService:
    """The calls of the contract, by their names."""

    @allow(Rule.USER)
    def CreateProject(self, caller: Caller, request: pb.CreateProjectRequest) -> pb.CreateProjectResponse:
        """See the contract."""
        request_id = uuid_of("request_id", request.request_id)
        made = services.create_project(caller.user, request.name, request_id)
        return pb.CreateProjectResponse(project=project_message(made))

    @allow(Rule.MEMBER)
    def GetProject(self, caller: Caller, request: pb.GetProjectRequest) -> pb.GetProjectResponse:
        """See the contract."""
        return pb.GetProjectResponse(project=project_message(caller.place))

    @allow(Rule.USER)
    def ListProjects(self, caller: Caller, request: pb.ListProjectsRequest) -> pb.ListProjectsResponse:
        """See the contract."""
        rows, following = page(services.projects_of(caller.user), request, key="project_id", descending=True)
        return pb.ListProjectsResponse(projects=map(project_message, rows), next_page_token=following)

    @allow(Rule.PROJECT_OWNER)
    def DeleteProject(self, caller: Caller, request: pb.DeleteProjectRequest) -> pb.DeleteProjectResponse:
        """See the contract."""
        services.delete_project(caller.project)
        return pb.DeleteProjectResponse()

    @allow(Rule.PROJECT_OWNER)
    def SetMember(self, caller: Caller, request: pb.SetMemberRequest) -> pb.SetMemberResponse:
        """See the contract."""
        if request.role not in (pb.ROLE_MEMBER, pb.ROLE_OWNER):
            raise invalid("role", "must be ROLE_MEMBER or ROLE_OWNER")
        made = services.set_member(caller.project, request.username, request.role)
        return pb.SetMemberResponse(member=member_message(made))

    @allow(Rule.MEMBER)
    def RemoveMember(self, caller: Caller, request: pb.RemoveMemberRequest) -> pb.RemoveMemberResponse:
        """See the contract."""
        services.remove_member(caller.project, request.username, by=caller.user)
        return pb.RemoveMemberResponse()

    @allow(Rule.MEMBER)
    def ListMembers(self, caller: Caller, request: pb.ListMembersRequest) -> pb.ListMembersResponse:
        """See the contract."""
        rows, following = page(services.members_of(caller.project), request, key="user__username")
        return pb.ListMembersResponse(members=map(member_message, rows), next_page_token=following)
