"""A stand-in for the Hugging Face Hub on loopback: repositories, commits, LFS, listing and download, in memory and files.

`python localhub.py ROOT [PORT]` prints `listening PORT`. Every request is a line in ROOT/requests.log (no headers, so no
tokens). Tokens: `hf_write...` may write, `hf_read...` may only read, anything else is unknown. `POST /_fail?times=N&on=X`
makes the next N requests whose path holds X drop their connection, as a bad network does.

A client must have HF_ENDPOINT, HF_HUB_DISABLE_XET=1 and its own HF_HOME set before it imports huggingface_hub.
"""

import base64
import hashlib
import json
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".parquet", ".gguf", ".pt", ".pth", ".arrow", ".zip", ".gz", ".pdf")
LFS_SIZE = 10 * 2**20
KINDS = "models|datasets|spaces"


def git_blob(data: bytes) -> str:
    """The object id that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """Repositories: name -> branches, commits, visibility. Contents lie under their sha256 in ROOT/blobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        self.repos: dict[str, dict] = {}
        self.failures: list[str] = []
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        if (root / "repos.json").exists():
            self.repos = json.loads((root / "repos.json").read_text())

    def save(self) -> None:
        (self.root / "repos.json.tmp").write_text(json.dumps(self.repos))
        os.replace(self.root / "repos.json.tmp", self.root / "repos.json")

    def blob(self, key: str) -> Path:
        return self.root / "blobs" / key

    def put(self, data: bytes) -> str:
        key = hashlib.sha256(data).hexdigest()
        self.blob(key).write_bytes(data)
        return key

    def create(self, key: str, private: bool) -> bool:
        if key in self.repos:
            return False
        self.repos[key] = {"private": private, "refs": {}, "tags": {}, "commits": {}}
        attributes = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
        self.commit(key, "main", "initial commit", {".gitattributes": {"data": attributes}}, [])
        return True

    def commit(self, key: str, branch: str, title: str, added: dict, deleted: list[str], parent=None) -> str | None:
        repo = self.repos[key]
        head = repo["refs"].get(branch)
        if parent and head and not head.startswith(parent):
            return None
        files = dict(repo["commits"][head]["files"]) if head else {}
        for gone in deleted:
            for path in [path for path in files if path == gone or path.startswith(gone.rstrip("/") + "/")]:
                del files[path]
        for path, value in added.items():
            if "data" in value:
                data = value["data"]
                files[path] = {"key": self.put(data), "size": len(data), "oid": git_blob(data)}
            else:
                pointer = (
                    f"version https://git-lfs.github.com/spec/v1\noid sha256:{value['lfs']}\nsize {value['size']}\n"
                )
                oid = git_blob(pointer.encode())
                files[path] = {"key": value["lfs"], "size": value["size"], "oid": oid, "lfs": True}
        date = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        content = json.dumps([head, title, date, files, time.time_ns()], sort_keys=True)
        oid = hashlib.sha1(content.encode()).hexdigest()
        repo["commits"][oid] = {"files": files, "title": title, "date": date, "parent": head}
        repo["refs"][branch] = oid
        self.save()
        return oid

    def revision(self, key: str, name: str) -> str | None:
        repo = self.repos[key]
        name = unquote(name).removeprefix("refs/heads/")
        if name in repo["commits"]:
            return name
        return repo["refs"].get(name) or repo["tags"].get(name)


def tree_entry(path: str, file: dict) -> dict:
    made = {"type": "file", "oid": file["oid"], "size": file["size"], "path": path}
    if file.get("lfs"):
        made["lfs"] = {"oid": file["key"], "size": file["size"], "pointerSize": 130}
    return made


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *arguments) -> None:
        pass

    def answer(self, code: int, body=b"", kind: str = "application/json", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        headers.setdefault("Content_Length", str(len(data)))
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        with self.hub.lock, open(self.hub.root / "requests.log", "a") as file:
            file.write(f"{self.command} {self.path} -> {code}\n")

    def refuse(self, code: int, name: str, message: str) -> None:
        self.answer(code, {"error": message}, X_Error_Code=name, X_Error_Message=message)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = self.read_body() if self.command in ("POST", "PUT", "DELETE", "PATCH") else b""
        with self.hub.lock:
            if parts.path == "/_fail":
                self.hub.failures = [query["on"]] * int(query["times"])
                return self.answer(200, {})
            if self.hub.failures and self.hub.failures[0] in parts.path:
                self.hub.failures.pop(0)
                self.close_connection = True
                return self.connection.close()
            if parts.path.startswith("/lfs/"):
                return self.upload(parts.path.removeprefix("/lfs/"), body)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if not token.startswith(("hf_write", "hf_read")):
                return self.refuse(401, "Unauthorized", "Invalid username or password.")
            reading = self.command in ("GET", "HEAD") or parts.path == "/api/validate-yaml"
            if not reading and not token.startswith("hf_write"):
                return self.refuse(403, "Forbidden", "You don't have the rights to create or change this repository")
            self.route(parts.path, query, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

    def route(self, path: str, query: dict, body: bytes) -> None:
        if path == "/api/whoami-v2":
            role = {"accessToken": {"displayName": "t", "role": "write"}}
            return self.answer(200, {"type": "user", "id": "1", "name": "tester", "orgs": [], "auth": role})
        if path == "/api/validate-yaml":
            return self.validate_yaml(json.loads(body))
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if match := re.fullmatch(rf"/api/({KINDS})", path):
            keys = [key for key in self.hub.repos if key.startswith(match[1] + "/")]
            return self.answer(200, [self.info(key, self.hub.revision(key, "main")) for key in keys])
        if re.fullmatch(rf"/(?:(?:{KINDS})/)?[^/]+/[^/]+\.git/info/lfs/objects/batch", path):
            return self.lfs_batch(json.loads(body))
        if match := re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/(.+)", path):
            return self.resolve(f"{match[1] or 'models'}/{match[2]}", match[3])
        if match := re.fullmatch(rf"/api/({KINDS})/([^/]+/[^/]+)(?:/([a-z-]+)(?:/(.*))?)?", path):
            key = f"{match[1]}/{match[2]}"
            if key not in self.hub.repos:
                return self.refuse(404, "RepoNotFound", "Repository not found")
            return self.repository(key, match[3], match[4] or "", query, body)
        return self.refuse(404, "NotFound", f"no such endpoint {path}")

    def base(self) -> str:
        return f"http://{self.headers['Host']}"

    def validate_yaml(self, asked: dict) -> None:
        """What the Hub refuses in a card's metadata, as far as it can be known here: no YAML, wrong shapes."""
        import yaml

        errors = []
        try:
            metadata = yaml.safe_load(asked["content"].split("---")[1])
            for config in metadata.get("configs", []):
                if not config.get("config_name") or not config.get("data_files"):
                    errors.append({"message": '"configs" must have config_name and data_files'})
            licence = metadata.get("license", [])
            known = {"mit", "apache-2.0", "cc-by-4.0", "cc0-1.0", "cc-by-3.0", "other", "unknown", "bsd-3-clause"}
            for name in [licence] if isinstance(licence, str) else licence:
                if name not in known:
                    errors.append({"message": f'"license" must be one of {sorted(known)}'})
        except (IndexError, AttributeError, yaml.YAMLError) as error:
            errors.append({"message": f"invalid YAML: {error}"})
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def create(self, asked: dict) -> None:
        kind = asked.get("type") or "model"
        name = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        if not name.startswith("tester/"):
            return self.refuse(403, "Forbidden", f"You don't have the rights to create a {kind} under this namespace")
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        made = self.hub.create(f"{kind}s/{name}", private)
        url = f"{self.base()}/{'' if kind == 'model' else kind + 's/'}{name}"
        if made:
            return self.answer(200, {"url": url, "name": name, "id": name})
        return self.answer(409, {"error": "You already created this repo", "url": url})

    def lfs_batch(self, asked: dict) -> None:
        objects = []
        for wanted in asked["objects"]:
            made = {"oid": wanted["oid"], "size": wanted["size"]}
            if not self.hub.blob(wanted["oid"]).exists():
                made["actions"] = {"upload": {"href": f"{self.base()}/lfs/{wanted['oid']}", "header": {}}}
            objects.append(made)
        self.answer(200, {"transfer": "basic", "objects": objects}, kind="application/vnd.git-lfs+json")

    def upload(self, key: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != key:
            return self.refuse(400, "BadOid", "sha256 mismatch")
        self.hub.put(body)
        return self.answer(200, b"")

    def info(self, key: str, sha: str) -> dict:
        repo, name = self.hub.repos[key], key.split("/", 1)[1]
        commit = repo["commits"][sha]
        siblings = []
        for path, file in sorted(commit["files"].items()):
            made = {"rfilename": path, "size": file["size"], "blobId": file["oid"]}
            if file.get("lfs"):
                made["lfs"] = {"sha256": file["key"], "size": file["size"], "pointerSize": 130}
            siblings.append(made)
        return {
            "_id": hashlib.md5(key.encode()).hexdigest()[:24],
            "id": name,
            "modelId": name,
            "author": name.split("/")[0],
            "sha": sha,
            "private": repo["private"],
            "disabled": False,
            "gated": False,
            "lastModified": commit["date"],
            "createdAt": min(item["date"] for item in repo["commits"].values()),
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "cardData": {},
            "siblings": siblings,
        }

    def repository(self, key: str, verb: str | None, rest: str, query: dict, body: bytes) -> None:
        repo = self.hub.repos[key]
        if verb is None:
            return self.answer(200, self.info(key, self.hub.revision(key, "main")))
        if verb == "settings":
            return self.answer(200, {})
        if verb == "refs":
            branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": s} for n, s in repo["refs"].items()]
            return self.answer(200, {"branches": branches, "tags": [], "converts": []})
        if verb == "branch":
            name = unquote(rest)
            if name in repo["refs"]:
                return self.refuse(409, "RefExists", "Reference already exists")
            repo["refs"][name] = repo["refs"]["main"]
            self.hub.save()
            return self.answer(201, {})
        # The revision is the first segment, with its slashes quoted.
        revision, _, inside = rest.partition("/")
        sha = self.hub.revision(key, revision)
        if sha is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repo["commits"][sha]["files"]
        if verb == "preupload":
            return self.preupload(sha, files, json.loads(body))
        if verb == "commit":
            return self.commit(key, unquote(revision), body)
        if verb == "revision":
            return self.answer(200, self.info(key, sha), X_Repo_Commit=sha)
        if verb == "commits":
            history = []
            while sha:
                made = repo["commits"][sha]
                entry = {"id": sha, "title": made["title"], "message": "", "date": made["date"]}
                history.append(entry | {"authors": [{"user": "tester"}]})
                sha = made["parent"]
            return self.answer(200, history)
        if verb == "tree":
            found = self.tree(files, unquote(inside), query.get("recursive", "").lower() in ("true", "1"))
            if inside and not found:
                return self.refuse(404, "EntryNotFound", f"{inside} does not exist on {revision}")
            return self.answer(200, found, X_Repo_Commit=sha)
        if verb == "paths-info":
            if "json" in self.headers.get("Content-Type", ""):
                paths = json.loads(body)["paths"]
            else:
                paths = parse_qs(body.decode())["paths"]
            return self.answer(200, self.paths(files, paths))
        return self.refuse(404, "NotFound", f"no such endpoint {verb}")

    def preupload(self, sha: str, files: dict, asked: dict) -> None:
        answers = []
        for file in asked["files"]:
            large = file["path"].endswith(LFS_SUFFIXES) or file["size"] > LFS_SIZE
            made = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if old := files.get(file["path"]):
                made["oid"] = old["key"] if old.get("lfs") else old["oid"]
            answers.append(made)
        self.answer(200, {"commitOid": sha, "files": answers})

    def commit(self, key: str, branch: str, body: bytes) -> None:
        added: dict[str, dict] = {}
        deleted: list[str] = []
        header: dict = {}
        for line in filter(None, (line.strip() for line in body.splitlines())):
            item = json.loads(line)
            kind, value = item["key"], item["value"]
            if kind == "header":
                header = value
            elif kind == "file":
                data = value["content"].encode()
                added[value["path"]] = {"data": base64.b64decode(data) if value.get("encoding") == "base64" else data}
            elif kind == "lfsFile":
                blob = self.hub.blob(value["oid"])
                if not blob.exists():
                    return self.refuse(400, "LfsMissing", f"LFS object {value['oid']} not uploaded")
                added[value["path"]] = {"lfs": value["oid"], "size": value.get("size") or blob.stat().st_size}
            elif kind in ("deletedFile", "deletedFolder"):
                deleted.append(value["path"])
        oid = self.hub.commit(key, branch, header.get("summary", ""), added, deleted, header.get("parentCommit"))
        if oid is None:
            return self.refuse(412, "PreconditionFailed", "A commit has happened since. Please refresh and try again.")
        url = f"{self.base()}/{key.removeprefix('models/')}/commit/{oid}"
        return self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def tree(self, files: dict, prefix: str, recursive: bool) -> list[dict]:
        entries, folders = [], set()
        start = prefix.rstrip("/") + "/" if prefix else ""
        for path, file in sorted(files.items()):
            if not path.startswith(start):
                continue
            parts = path[len(start) :].split("/")
            for depth in range(1, len(parts)):
                folder = start + "/".join(parts[:depth])
                if folder not in folders and (recursive or depth == 1):
                    folders.add(folder)
                    oid = hashlib.sha1(folder.encode()).hexdigest()
                    entries.append({"type": "directory", "oid": oid, "size": 0, "path": folder})
            if recursive or len(parts) == 1:
                entries.append(tree_entry(path, file))
        return entries

    def paths(self, files: dict, asked: list[str]) -> list[dict]:
        found = []
        for path in (path.strip("/") for path in asked):
            if path in files:
                found.append(tree_entry(path, files[path]))
            elif any(other.startswith(path + "/") for other in files):
                oid = hashlib.sha1(path.encode()).hexdigest()
                found.append({"type": "directory", "oid": oid, "size": 0, "path": path})
        return found

    def resolve(self, key: str, rest: str) -> None:
        if key not in self.hub.repos:
            return self.refuse(404, "RepoNotFound", "Repository not found")
        revision, _, path = rest.partition("/")
        sha = self.hub.revision(key, revision)
        if sha is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        file = self.hub.repos[key]["commits"][sha]["files"].get(unquote(path))
        if file is None:
            headers = {"X_Error_Code": "EntryNotFound", "X_Error_Message": "Entry not found", "X_Repo_Commit": sha}
            return self.answer(404, {"error": "Entry not found"}, **headers)
        data = self.hub.blob(file["key"]).read_bytes()
        tag = f'"{file["key"] if file.get("lfs") else file["oid"]}"'
        headers = {"ETag": tag, "X_Repo_Commit": sha, "Accept_Ranges": "bytes"}
        if file.get("lfs"):
            headers |= {"X_Linked_Etag": tag, "X_Linked_Size": str(file["size"])}
        octets = "application/octet-stream"
        if match := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or ""):
            first = int(match[1]) if match[1] else max(0, len(data) - int(match[2]))
            last = min(int(match[2]) if match[2] and match[1] else len(data) - 1, len(data) - 1)
            if first >= len(data):
                return self.answer(416, b"", Content_Range=f"bytes */{len(data)}")
            headers["Content_Range"] = f"bytes {first}-{last}/{len(data)}"
            return self.answer(206, data[first : last + 1], octets, **headers)
        if self.command == "HEAD":
            return self.answer(200, b"", octets, Content_Length=str(len(data)), **headers)
        return self.answer(200, data, octets, **headers)


def serve(root: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server on loopback with its repositories under `root`; the caller runs and shuts it."""
    handler = type("HubHandler", (Handler,), {"hub": Hub(root)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    return server


if __name__ == "__main__":
    running = serve(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print("listening", running.server_address[1], flush=True)
    running.serve_forever()
