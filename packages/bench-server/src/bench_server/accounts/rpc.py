"""bench.auth.v1 on the server."""

from bench_protos.auth.v1 import auth_pb2 as pb
from django.conf import settings
from django.utils import timezone

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.accounts import services
from bench_server.accounts.models import User
from bench_server.errors import Refused, invalid
from bench_server.rpc.convert import timestamp, token_message, user_message
from bench_server.rpc.paging import page
from bench_server.version import VERSION
from bench_server.web.addresses import is_page, sign_in_link


class AuthService:
    """The calls of the contract, by their names."""

    @allow(Rule.OPEN)
    def GetServerInfo(self, caller: Caller, request: pb.GetServerInfoRequest) -> pb.GetServerInfoResponse:
        """See the contract."""
        return pb.GetServerInfoResponse(
            server_id=settings.FOLDER.server_id,
            version=VERSION,
            can_create_owner=caller.is_loopback and not services.has_accounts(),
            server_time=timestamp(timezone.now()),
            data_folder=str(settings.FOLDER.path) if caller.is_loopback else "",
        )

    @allow(Rule.OPEN)
    def Login(self, caller: Caller, request: pb.LoginRequest) -> pb.LoginResponse:
        """See the contract."""
        user = services.log_in(request.username, request.password, caller.address)
        login = services.create_login(user, request.token_name)
        return pb.LoginResponse(
            token=login.secret, token_info=token_message(login.token), user=user_message(user)
        )

    @allow(Rule.OPEN)
    def CreateOwner(self, caller: Caller, request: pb.CreateOwnerRequest) -> pb.CreateOwnerResponse:
        """See the contract."""
        if not caller.is_loopback:
            raise Refused(
                "NOT_LOOPBACK",
                "the first account is made on the server's own machine",
                hint="There: `bench-server createuser --owner`, or log in.",
            )
        user = services.create_owner(request.username, request.password)
        login = services.create_login(user, request.token_name)
        return pb.CreateOwnerResponse(
            token=login.secret, token_info=token_message(login.token), user=user_message(user)
        )

    @allow(Rule.OPEN)
    def AcceptInvitation(
        self, caller: Caller, request: pb.AcceptInvitationRequest
    ) -> pb.AcceptInvitationResponse:
        """See the contract."""
        user = services.accept_invitation(request.invitation, request.username, request.password)
        login = services.create_login(user, request.token_name)
        return pb.AcceptInvitationResponse(
            token=login.secret, token_info=token_message(login.token), user=user_message(user)
        )

    @allow(Rule.USER)
    def Logout(self, caller: Caller, request: pb.LogoutRequest) -> pb.LogoutResponse:
        """See the contract."""
        caller.used_token.delete()
        return pb.LogoutResponse()

    @allow(Rule.USER)
    def GetCurrentUser(self, caller: Caller, request: pb.GetCurrentUserRequest) -> pb.GetCurrentUserResponse:
        """See the contract."""
        return pb.GetCurrentUserResponse(
            user=user_message(caller.user), token_info=token_message(caller.used_token)
        )

    @allow(Rule.LOGIN)
    def ChangePassword(self, caller: Caller, request: pb.ChangePasswordRequest) -> pb.ChangePasswordResponse:
        """See the contract."""
        current, new = request.current_password, request.new_password
        services.change_password(caller.user, current, new, address=caller.address, keep=caller.token)
        return pb.ChangePasswordResponse()

    @allow(Rule.LOGIN)
    def CreateToken(self, caller: Caller, request: pb.CreateTokenRequest) -> pb.CreateTokenResponse:
        """See the contract."""
        end = None
        if request.HasField("expire_time"):
            end = request.expire_time.ToDatetime(tzinfo=timezone.get_current_timezone())
        login = services.create_personal_token(caller.user, request.name, end)
        return pb.CreateTokenResponse(token=login.secret, token_info=token_message(login.token))

    @allow(Rule.USER)
    def ListTokens(self, caller: Caller, request: pb.ListTokensRequest) -> pb.ListTokensResponse:
        """See the contract."""
        user: User = caller.user
        tokens, following = page(services.live_tokens(user), request, key="pk", descending=True)
        return pb.ListTokensResponse(tokens=map(token_message, tokens), next_page_token=following)

    @allow(Rule.LOGIN)
    def RevokeToken(self, caller: Caller, request: pb.RevokeTokenRequest) -> pb.RevokeTokenResponse:
        """See the contract."""
        services.revoke_token(caller.user, uuid_of("token_id", request.token_id))
        return pb.RevokeTokenResponse()

    @allow(Rule.LOGIN)
    def CreateWebLogin(self, caller: Caller, request: pb.CreateWebLoginRequest) -> pb.CreateWebLoginResponse:
        """See the contract."""
        if request.path and not is_page(request.path):
            raise invalid("path", "must be that of a page, such as /projects/ID")
        secret, made = services.create_web_login(caller.user)
        return pb.CreateWebLoginResponse(
            url=sign_in_link(secret, request.path), expire_time=timestamp(made.expire_time)
        )
