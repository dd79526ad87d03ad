"""Certificates for tests, made by the openssl program: an authority and what it signs."""
import os
import shutil
import subprocess
import tempfile


def _openssl(*args):
    done = subprocess.run(["openssl"] + list(args), capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError("openssl %s: %s" % (" ".join(args), done.stderr))


class Authority:
    """A root certificate in a folder of its own; .ca is its file."""

    def __init__(self, name="test authority"):
        self.dir = tempfile.mkdtemp(prefix="warren-certs-")
        self.ca, self.key = self.path("ca.pem"), self.path("ca.key")
        self._new_key(self.key)
        _openssl("req", "-x509", "-new", "-key", self.key, "-subj", "/CN=" + name, "-days", "30",
                 "-out", self.ca)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    @staticmethod
    def _new_key(path, password=None):
        args = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path]
        if password:
            args += ["-aes256", "-pass", "pass:" + password]
        _openssl(*args)

    def intermediate(self, name):
        """An authority that this one vouches for; .ca is its certificate."""
        other = Authority.__new__(Authority)
        other.dir = self.dir
        other.ca, other.key = self.make(name, extensions="basicConstraints=critical,CA:TRUE\n")
        return other

    def revoke(self, *certs, is_old=False):
        """A file with this authority's list of these certificates, which are revoked; an old one
        should have been replaced long ago."""
        index, config, crl = (self.path("crl." + x) for x in ("index", "cnf", "pem"))
        with open(index, "w", encoding="ascii") as f:
            for cert in certs:
                serial = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", cert],
                                        capture_output=True, text=True, check=True).stdout
                f.write("R\t491231235959Z\t200101000000Z\t%s\tunknown\t/CN=x\n"
                        % serial.strip().split("=")[1])
        with open(config, "w", encoding="ascii") as f:
            f.write("[ca]\ndefault_ca=own\n[own]\ndatabase=%s\ndefault_md=sha256\n"
                    "default_crl_days=1\n" % index)
        _openssl("ca", "-config", config, "-gencrl", "-keyfile", self.key, "-cert", self.ca,
                 "-out", crl, *(("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate",
                                 "20200102000000Z") if is_old else ()))
        return crl

    def make(self, name, subject=None, san="DNS:localhost,IP:127.0.0.1", days=30, password=None,
             extensions=""):
        """(certificate, key): paths of files called by that name; days < 0: it has expired."""
        key, csr = self.path(name + ".key"), self.path(name + ".csr")
        cert = self.path(name + ".pem")
        self._new_key(key, password)
        args = ["req", "-new", "-key", key, "-subj", subject or "/CN=" + name, "-out", csr]
        _openssl(*(args + (["-passin", "pass:" + password] if password else [])))
        with open(self.path(name + ".ext"), "w", encoding="ascii") as f:
            f.write(("subjectAltName=%s\n" % san if san else "") + extensions)
        _openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.key,
                 "-CAcreateserial", "-days", str(days), "-extfile", self.path(name + ".ext"),
                 "-out", cert)
        return cert, key
