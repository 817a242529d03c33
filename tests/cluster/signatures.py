"""Checks the AWS Signature Version 4 of a presigned URL, as STS does and moto does not.

The name of the cluster is not in an EKS token's URL: it is a signed header that the verifier adds itself, so a token
made for another cluster shows only in its signature.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.sts.models import sts_backends


def signature_matches(url: str, headers: Mapping[str, str], secret_key: str) -> bool:
    """Whether ``secret_key`` made the presigned GET ``url`` together with ``headers`` (the host is the URL's own)."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    values = dict(query)
    access_key, _, region, service, _ = values["X-Amz-Credential"].split("/")
    unsigned = urlencode([pair for pair in query if pair[0] != "X-Amz-Signature"], quote_via=quote, safe="-_.~")
    request = AWSRequest("GET", urlunsplit(parts._replace(query=unsigned)), headers=dict(headers))
    request.context["timestamp"] = values["X-Amz-Date"]
    signer = SigV4QueryAuth(Credentials(access_key, secret_key), service, region)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return hmac.compare_digest(str(expected), values["X-Amz-Signature"])


def secret_issued_by_moto(access_key_id: str) -> str | None:
    """The secret of a key that moto's AssumeRole handed out in this process; None for any other key."""
    for regions in sts_backends.values():
        for backend in regions.values():
            role = backend.get_assumed_role_from_access_key(access_key_id)
            if role is not None:
                return str(role.secret_access_key)
    return None
