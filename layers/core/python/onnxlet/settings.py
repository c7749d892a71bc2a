"""Settings: every value that the environment may set, read once by an entry point and handed on."""

from collections.abc import Mapping

import msgspec

from onnxlet.errors import InvalidInputError

MIB = 2**20
MB_PER_VCPU = 1769
"""Lambda gives one vCPU for this much memory."""
SERVABLE_DAYS = 7.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field per environment variable: `alias_ttl` is `ONNXLET_ALIAS_TTL`."""

    store: str = ""
    """Where models lie: s3://bucket/prefix, file:///directory or memory://name. Functions have no default."""
    alias_ttl: float = 10.0
    """Seconds that an alias's routes are kept before they are read again."""
    servable_days: float = SERVABLE_DAYS
    """Days that a version stays servable by number after the last alias left it."""
    cache_dir: str = ""
    """Where fetched artifacts are kept; empty: the user's own cache folder, and /tmp/onnxlet on Lambda."""
    session_memory: int = 0
    """Bytes of loaded models kept at once; 0: 60 % of the function's memory, or 4 GiB elsewhere."""
    threads: int = 0
    """Intra-op threads of a session; 0: one per whole vCPU of the function's memory, or 1 elsewhere."""
    load_deadline: float = 60.0
    """Seconds that fetching and loading a model may take."""
    run_deadline: float = 25.0
    """Seconds that an answer may take from parsing to encoding, the run of the model included and its loading not."""
    preload: str = ""
    """Refs, separated by commas, to load before the first request."""
    api_id: str = ""
    """The HTTP API whose events the control plane answers; empty: whoever's."""
    rest_binary: bool = False
    """Whether the REST API in front declares the binary media type `*/*`: answers that are no text need that."""
    token: str = ""
    """The local server: the bearer token that it asks for; empty: none. Commands send it to servers."""
    read_only: bool = False
    """The local server: whether it refuses to change the registry."""
    allowed_hosts: str = ""
    """The local server: more names that it answers to, separated by commas; `*.example.com`, `*` for any."""
    allowed_origins: str = ""
    """The local server: origins whose pages may use it (CORS), separated by commas; `*`: any, but not to change."""
    telemetry_rows: int = 1000
    """Rows after which metrics are written; a process that is killed loses those of fewer, and its last request's."""
    telemetry_seconds: float = 60.0
    """Seconds of requests after which metrics are written; a process that is killed loses those of less."""
    request_log: bool = False
    """Whether each request for predictions gets a line in the log: its id, version, status and time, never a value."""
    monitoring: bool = True
    """Whether live rows are counted, in the bins of their version's baseline, and the counts written to the store."""
    capture: bool = True
    """Whether rows are captured, as the policies of their versions say; without a policy none is."""
    capture_key: str = ""
    """Where the key lies that captured columns are hashed with: file:///path, the ARN of a secret, kms:… or hex:…"""
    state_machine: str = ""
    """The ARN of the state machine that scores large files in sections; empty: one function scores each file whole."""
    large_file_mb: int = 256
    """MiB from which on a file is large."""
    section_concurrency: int = 50
    """Sections of a file that are scanned or scored at once."""
    batch_arns: str = ""
    """What jobs may read and write besides the store, separated by commas: ARNs as `arn:aws:s3:::lake/patients/*`."""
    function_memory: int = 0
    """MB of the Lambda function (AWS_LAMBDA_FUNCTION_MEMORY_SIZE); 0 elsewhere."""
    function_name: str = ""
    """The Lambda function's name (AWS_LAMBDA_FUNCTION_NAME); empty elsewhere."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read them. Raises InvalidInputError naming the variable whose value is not of its type."""
        values: dict[str, str | int | float | bool] = {}
        for field, kind in cls.__annotations__.items():
            name = variable(field)
            if text := environ.get(name):
                values[field] = _convert(name, kind, text)
        return cls(**values)  # type: ignore[arg-type] # each value was converted to its field's type

    def __repr__(self) -> str:
        """As any dataclass, but for the token and the key."""
        values = {name: getattr(self, name) for name in self.__struct_fields__} | {
            "token": "…" if self.token else "",
            "capture_key": "…" if self.capture_key else "",
        }
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    @property
    def cache_folder(self) -> str:
        """Where fetched artifacts are kept."""
        if self.cache_dir:
            return self.cache_dir
        if self.function_name:  # there nobody else is
            return "/tmp/onnxlet"  # noqa: S108
        from platformdirs import user_cache_dir

        return user_cache_dir("onnxlet")

    @property
    def intra_op_threads(self) -> int:
        """Threads that a session runs with: always explicit, at least 1."""
        return self.threads or max(1, self.function_memory // MB_PER_VCPU)

    @property
    def session_bytes(self) -> int:
        """Bytes of loaded models kept at once."""
        return self.session_memory or (self.function_memory * MIB * 6 // 10 or 4096 * MIB)


_LAMBDA = {"function_memory": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "function_name": "AWS_LAMBDA_FUNCTION_NAME"}


def variable(field: str) -> str:
    """The environment variable that sets `field`."""
    return _LAMBDA.get(field, "ONNXLET_" + field.upper())


_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


def _convert(name: str, kind: type[str | int | float | bool], text: str) -> str | int | float | bool:
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise InvalidInputError(f"{name} must be true or false, not {text!r}", variable=name)
        return _BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError:
        raise InvalidInputError(f"{name} must be a number, not {text!r}", variable=name) from None
