"""The border where botocore's errors become ours: what was denied, what may be asked again, and which endpoint did not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import botocore.exceptions as boto

from lambda_autoscaler.ports import AutoscalerError, BadInput, Busy, Denied, NotFound, Refused, Throttled, Unavailable, Unreachable

_DENIED: Final = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"}
_UNKNOWN_CALLER: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
}
_THROTTLED: Final = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "TooManyRequestsException"}
# Auto Scaling, about a group that it changes already (API reference, errors of TerminateInstanceInAutoScalingGroup).
_BUSY: Final = {"ResourceContention", "ScalingActivityInProgress"}
_FAILED: Final = {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "ServerException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
}
_MISSING: Final = {
    "ResourceNotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.Malformed",
    "InvalidLaunchTemplateId.VersionNotFound",
    "InvalidLaunchTemplateName.NotFoundException",
}
_TRANSPORT: Final = (boto.HTTPClientError, boto.ConnectionError, boto.EndpointConnectionError)
_CREDENTIALS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
    boto.SSOError,
)
_CONFIGURATION: Final = (
    boto.InvalidRegionError,
    boto.ConfigNotFound,
    boto.ConfigParseError,
    boto.InvalidConfigError,
    boto.InfiniteLoopConfigError,
    boto.UnknownCredentialError,
)


@contextmanager
def at_the_border(service: str, operation: str, endpoint: str) -> Iterator[None]:
    """Run one call of ``service:operation``, or without operation make a client; whatever botocore raises becomes one of our errors."""
    action = f"{service}:{operation}" if operation else service
    try:
        yield
    except boto.ClientError as fault:
        raise _refusal(action, fault) from fault
    except boto.NoRegionError as fault:
        raise BadInput("no AWS region: set AWS_REGION, or a region in the profile") from fault
    except _CONFIGURATION as fault:
        raise _unusable(fault) from fault
    except _CREDENTIALS as fault:
        raise BadInput(f"no usable AWS credentials: {fault}") from fault
    except _TRANSPORT as fault:
        raise Unreachable(f"{action} at {endpoint} does not answer: {fault}. Is there a route to it (NAT, VPC endpoint)?") from fault
    except boto.BotoCoreError as fault:
        raise Refused(f"{action}: {fault}") from fault
    except OSError as fault:
        # botocore wraps what the network does; this is a file or a program that the configuration names.
        raise _unusable(fault) from fault
    except ValueError as fault:
        if operation:
            raise
        raise _unusable(fault) from fault  # a number, an address or the answer of a program that the configuration names


def _unusable(fault: Exception) -> BadInput:
    return BadInput(f"the AWS configuration cannot be used: {fault}")


def _refusal(action: str, fault: boto.ClientError) -> AutoscalerError:
    error = fault.response.get("Error", {})
    code, message = error.get("Code", ""), error.get("Message", "")
    if code in _DENIED:
        return Denied(f"{action} is denied: {message}. Allow {action} in a policy of the role.")
    if code in _UNKNOWN_CALLER:
        return Denied(f"{action}: AWS does not accept the credentials ({code}): {message}")
    if code in _THROTTLED:
        return Throttled(f"{action}: {message} ({code})")
    if code in _BUSY:
        return Busy(f"{action}: {message} ({code})")
    if code in _FAILED or fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return Unavailable(f"{action}: {message} ({code})")
    if code in _MISSING or (code == "ValidationError" and "not found" in message.lower()):
        return NotFound(f"{action}: {message}")
    return Refused(f"{action}: {message} ({code})")
