"""Reads AWS requests and writes AWS answers in each of the service protocols, from botocore's service models.

moto brings the server half of those protocols (router, parsers, serializers, all driven by the models); this file
gives them one narrow entrance. Errors are written here: their wording must be AWS's own, for any code.
"""

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.routing import determine_request_protocol, get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.wrappers import Response

# Signing names that differ from botocore's service names.
_SERVICES = {"monitoring": "cloudwatch"}
_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")


class AwsError(Exception):
    """An answer that is an error: AWS's ``code``, its ``message`` and the HTTP ``status``."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True)
class Parsed:
    """A request as its service understands it; ``params`` has the names of boto3's arguments."""

    service: str
    operation: str
    params: dict[str, Any]
    access_key: str
    region: str
    protocol: str
    model: OperationModel
    trace: str = ""
    """What the caller was invoked by, as AWS's SDKs tell it inside of Lambda."""


def read(request: Request) -> Parsed:
    """The request's meaning; AwsError when it carries no credential."""
    access_key, region, signing_name = _credential(request)
    service = _SERVICES.get(signing_name, signing_name)
    model, path_parameters = get_service_router(service).match(request)
    protocol = determine_request_protocol(get_service_model(service), request.content_type)
    parsed = PROTOCOL_PARSERS[protocol](model).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.get_data(cache=True),
            "url_path": request.path,
            "url_params": path_parameters,
        }
    )
    params = {name: value for name, value in parsed.items() if value is not None}
    return Parsed(service, str(model.name), params, access_key, region, protocol, model, request.headers.get("X-Amzn-Trace-Id", ""))


def write(request: Parsed, result: dict[str, Any]) -> Response:
    """``result`` (as boto3 would return it) in the protocol of ``request``."""
    serializer = get_serializer_class(request.service, request.protocol)(request.model)
    answer = serializer.serialize(result)
    return Response(answer["body"], answer["status_code"], answer["headers"])


def write_error(protocol: str, error: AwsError) -> Response:
    """``error`` in the form that clients of ``protocol`` expect."""
    fault = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if protocol == "ec2":
        body = f"<Response><Errors><Error>{fault}</Error></Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
        return Response(body, error.status, content_type="text/xml")
    if protocol in ("query", "rest-xml"):
        sender = f"<Error><Type>Sender</Type>{fault}</Error>"
        body = f"<ErrorResponse>{sender}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        return Response(body, error.status, content_type="text/xml")
    body = json.dumps({"__type": error.code, "message": error.message})
    return Response(body, error.status, {"x-amzn-ErrorType": error.code}, content_type="application/x-amz-json-1.1")


def _credential(request: Request) -> tuple[str, str, str]:
    """Access key id, region and signing name, from the header or from a presigned query."""
    header = _CREDENTIAL.search(request.headers.get("Authorization", ""))
    scope = header.group(1) if header else request.args.get("X-Amz-Credential", "")
    parts = scope.split("/")
    if len(parts) != 5:
        raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    return parts[0], parts[2], parts[3]
