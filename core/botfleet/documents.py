"""Why: files of YAML, with their Secrets and ConfigMaps, are read in one place; errors say where, and what to write.

Never: a value of a Secret in an error, or what a TelegramBot is.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 4 * 1024 * 1024
_TWICE = "this key stands twice in its mapping; keep one of them"


class ManifestError(ValueError):
    """The file cannot be used; the message says why and what to write."""


def read_documents(path: Path) -> list[Any]:
    """The documents of a file of YAML, those that are not empty.

    Raises:
        ManifestError: it cannot be read, or is no YAML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{path}: larger than {MAX_BYTES} bytes; is it a manifest?")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ManifestError(f"{path}: cannot be read: it is not text in UTF-8") from None
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        # The parser's own words quote the line, and a Secret may stand in it.
        raise ManifestError(f"{path}: is not YAML: {at}{_said(error)}") from None
    except (yaml.YAMLError, RecursionError):
        raise ManifestError(f"{path}: is not YAML") from None


def _said(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    if problem == _TWICE:
        return problem
    if r"'\t'" in problem:
        return "a tab; indent with spaces"
    return "look for a missing colon or quote, or for a wrong indentation, here or in the line before"


class _Loader(yaml.SafeLoader):
    """A key that is written twice is a mistake: the last one would win, and nobody would know."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, _TWICE, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def config_map_values(document: Mapping[str, Any], where: str) -> tuple[str, dict[str, str]]:
    """Name and texts of a ConfigMap; without those that are binary.

    Raises:
        ManifestError: it has no name, or a value that is no text.
    """
    metadata, data = document.get("metadata"), document.get("data") or {}
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ManifestError(f"{where}: the ConfigMap has no metadata.name")
    if not isinstance(data, dict):
        raise ManifestError(f"{where}: ConfigMap data must be a mapping of keys to texts")
    for key, value in data.items():
        if not isinstance(value, str):
            raise ManifestError(f"{where}: ConfigMap data.{key} must be text; put it in quotes")
    return metadata["name"], {str(key): value for key, value in data.items()}


def secret_values(document: Mapping[str, Any], where: str) -> tuple[str, dict[str, str]]:
    """Name and texts of a Secret.

    Raises:
        ManifestError: it has no name, or a value that is no text.
    """
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ManifestError(f"{where}: the Secret has no metadata.name")
    values: dict[str, str] = {}
    for part in ("data", "stringData"):
        if not isinstance(document.get(part) or {}, dict):
            raise ManifestError(f"{where}: Secret {part} must be a mapping of keys to texts")
    for key, value in (document.get("data") or {}).items():
        try:
            values[str(key)] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError, TypeError) as error:
            raise ManifestError(
                f"{where}: Secret data.{key} is not base64 of text; use stringData for plain text"
            ) from error
    for key, value in (document.get("stringData") or {}).items():
        if not isinstance(value, str):
            raise ManifestError(f"{where}: Secret stringData.{key} must be text; put it in quotes")
        values[str(key)] = value
    return metadata["name"], values
