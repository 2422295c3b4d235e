# SPDX-License-Identifier: Apache-2.0
"""A region whose nodes, agents and clients speak mutual TLS, with certificates
made by the command line."""
import os
import socket
import subprocess

import grpc
import holdfast_client
import holdfast_region
from holdfast_region import wait_until


class Pki:
    """Made by the command line, as a person would."""

    def __init__(self, binaries, directory):
        self.binaries = binaries
        self.directory = directory
        self.holdfast("ca", "init", "--dir", f"{directory}/ca")
        self.holdfast("ca", "init", "--dir", f"{directory}/other")

    def holdfast(self, *words):
        subprocess.run([f"{self.binaries}/holdfast", *words], check=True,
                       capture_output=True)

    def issue(self, role, name, *options, ca="ca", out="."):
        self.holdfast("cert", "issue", role, name, "--dir",
                      f"{self.directory}/{ca}", "--out",
                      f"{self.directory}/{out}", *options)

    def path(self, name):
        return f"{self.directory}/{name}"

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def credentials(self, name):
        """None: without a certificate."""
        if name is None:
            return grpc.ssl_channel_credentials(self.read("ca/node-ca.crt"))
        return grpc.ssl_channel_credentials(
            self.read("ca/node-ca.crt"), self.read(f"{name}.key"),
            self.read(f"{name}.crt"))


class SecureRegion(holdfast_region.Region):
    def __init__(self, pki):
        self.pki = pki
        super().__init__(pki.binaries)

    def write_config(self, node, settings):
        self.pki.issue("node", node.name, "--id", str(node.number),
                       "--address", "127.0.0.1", "--address", "localhost")
        super().write_config(node, settings)
        with open(node.config, "a", encoding="utf-8") as config:
            config.write(
                f"tls: {{certificate: {self.pki.path(node.name)}.crt, "
                f"key: {self.pki.path(node.name)}.key, "
                + ", ".join(f"{role}_ca: {self.pki.path('ca')}/{role}-ca.crt"
                            for role in ("node", "agent", "client")) + "}\n")

    def client(self, node):
        if node not in self.clients:
            wait_until(lambda: listens(node.address), f"{node.name} listens")
            self.clients[node] = holdfast_client.Client(
                node.address, self.pki.credentials("anna"))
        return self.clients[node]

    def agent(self, host, zone, certificate=None):
        agent = holdfast_region.Agent(self, host, zone)
        name = certificate or host
        if not os.path.exists(self.pki.path(f"{name}.crt")):
            self.pki.issue("agent", name)
        with open(agent.config, "a", encoding="utf-8") as config:
            config.write(
                f"tls: {{certificate: {self.pki.path(name)}.crt, "
                f"key: {self.pki.path(name)}.key, "
                f"node_ca: {self.pki.path('ca/node-ca.crt')}}}\n")
        self.agents.append(agent)
        agent.start()
        return agent


def listens(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False
