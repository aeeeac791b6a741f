#!/usr/bin/env python3
"""Sends files through the telemesh endpoint that is up on this home: send_file.py TO FILE…

docs/CONTROL.md describes what is said. The exit code is that of `telemesh send`.
"""
import json
import os
import socket
import sys


def main(to, *files):
    home = os.environ.get("TELEMESH_HOME") or os.path.expanduser("~/.local/share/telemesh")
    control = socket.socket(socket.AF_UNIX)
    control.connect(os.path.join(home, "control.sock"))
    request = {"v": 1, "command": "send", "to": to, "files": [os.path.abspath(file) for file in files]}
    control.sendall(json.dumps(request).encode() + b"\n")
    for line in control.makefile(encoding="utf-8"):
        said = json.loads(line)
        if "error" in said:
            print(said["error"], file=sys.stderr)
            return said["code"]
        if said.get("event") == "progress":
            print(f"{said['bytes']} of {said['total']} bytes")
        elif said.get("event") == "transferred":
            print(f"{said['files']} files are there, {said['missing']} entries are not")
        elif said.get("event") == "done":
            return 0
    print("the endpoint has ended", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
