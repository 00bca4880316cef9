"""Certificates and kubeconfigs of clusters and API servers."""

import base64
import ipaddress
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from botfleet_tools import pki


def test_certificates_are_signed_by_their_authority_for_their_names(tmp_path: Path) -> None:
    authority = pki.Authority("ca")
    pair = authority.issue("server", organization="group", dns=["localhost"], ips=["127.0.0.1"])
    issuer = x509.load_pem_x509_certificate(authority.pair.certificate)
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    certificate.verify_directly_issued_by(issuer)
    assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "group"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]
    assert load_pem_private_key(pair.key, None).public_key() == certificate.public_key()


def test_a_client_is_no_server() -> None:
    certificate = x509.load_pem_x509_certificate(pki.Authority("ca").issue("client").certificate)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_are_readable_for_their_owner_only(tmp_path: Path) -> None:
    _, key = pki.Authority("ca").pair.write(tmp_path, "ca")
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_kubeconfig_holds_all_it_needs() -> None:
    authority = pki.Authority("ca")
    client = authority.issue("admin")
    config = yaml.safe_load(pki.kubeconfig("https://h:1", authority.pair.certificate, client, name="n"))
    (cluster,), (user,) = config["clusters"], config["users"]
    assert cluster["cluster"]["server"] == "https://h:1"
    assert base64.b64decode(user["user"]["client-key-data"]) == client.key
    assert config["current-context"] == "n"


def test_signing_keys_fit_each_other() -> None:
    private, public = pki.signing_key()
    assert b"EC PRIVATE KEY" in private
    assert b"PUBLIC KEY" in public
