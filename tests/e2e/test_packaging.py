# SPDX-License-Identifier: MIT
"""Manual pages, `make install`, the systemd unit and the Debian package: they match the program, and work."""

# tests/run: 100 s, busy, own build

import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import yaml

from harness import Gateway, PACKGATE, PATIENCE, main

BUILD = os.path.dirname(PACKGATE)
COMMANDS = ("run", "check", "read", "decode", "probe", "map", "simulate")
SERVICE = "conf/packgate.service"
BUILD_PATIENCE = 10 * PATIENCE  # seconds; the packages are built from scratch


def run(*command, **options):
    """The output of a command, which must succeed."""
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=BUILD_PATIENCE, **options)
    text = result.stdout.decode()
    assert result.returncode == 0, f"{' '.join(map(str, command))} ended with {result.returncode}:\n{text}"
    return text


def make(*words):
    """The program is built already; changes that a developer saves meanwhile must not rebuild it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    return run("make", "--no-print-directory", "-o", PACKGATE, f"BUILD={BUILD}", *words, env=environment)


def read_text(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


# ---- documents ----

def generated_documents_are_current():
    page = read_text("man/packgate.ini.5")
    keys = re.search(r'^\.\\" keys begin[^\n]*\n(.*?)^\.\\" keys end$', page, re.M | re.S)
    assert keys, "man/packgate.ini.5 has lost its marks"
    assert keys[1] == run(PACKGATE, "check", "--keys=man"), "man/packgate.ini.5 is out of date: make docs"
    makes = re.search(r"^<!-- makes begin[^\n]*\n(.*?)^<!-- makes end -->$", read_text("README.md"), re.M | re.S)
    assert makes and makes[1] == run(PACKGATE, "protocols", "--format", "makes"), "README.md is out of date: make docs"
    assert read_text("docs/packs.md") == run(PACKGATE, "protocols", "--format", "md"), "docs/packs.md is out of date: make docs"
    wanted = run(PACKGATE, "map", "--format", "homeassistant")
    assert read_text("conf/homeassistant.yaml") == wanted, "conf/homeassistant.yaml is out of date: make docs"
    version = run(PACKGATE, "--version").split()[1]
    for path in ("packaging/container/compose.yaml", "packaging/home-assistant/config.yaml", "docs/container.md", "docs/home-assistant-app.md", "README.md"):
        named = set(re.findall(r'(?:packgate[:-]|^version: ")(\d+\.\d+\.\d+)', read_text(path), re.M))
        assert named == {version}, f"{path} names {named}: make docs"


def plain(page):
    """The words of a manual page without formatting."""
    return re.sub(r"\\f.", "", page.replace("\\-", "-").replace('"', " "))


def manual_has_all_commands_and_options():
    page = plain(read_text("man/packgate.1"))
    missing = [name for name in re.findall(r"^  ([a-z]+) ", run(PACKGATE, "--help"), re.M) if f".SS {name}\n" not in page]
    for command in COMMANDS:
        section = page.split(f".SS {command}\n")[1].split("\n.S")[0]
        options = re.findall(r"^ +(?:-(\w), )?--([a-z-]+)", run(PACKGATE, command, "--help"), re.M)
        missing += [f"{command} --{name}" for _, name in options if not re.search(rf"--{name}\b", section)]
        missing += [f"{command} -{short}" for short, _ in options if short and not re.search(rf"(^|[ .])-{short}\b", section, re.M)]
    assert not missing, f"not in man/packgate.1: {missing}"


def manual_pages_have_no_mistakes():
    for page in ("man/packgate.1", "man/packgate.ini.5"):
        complaints = run("groff", "-k", "-ww", "-man", "-Tutf8", "-z", page)
        assert complaints == "", complaints


def examples_of_manual_are_right():
    examples = 0
    for page in ("man/packgate.1", "man/packgate.ini.5"):
        for block in re.findall(r"^\.nf\n(.*?)^\.fi$", read_text(page), re.M | re.S):
            lines = plain(block).splitlines()
            first = next((n for n, line in enumerate(lines) if line.startswith("[")), None)
            if first is None:
                continue
            text = "\n".join(line for line in lines[first:] if line != "END")
            run(PACKGATE, "check", "-", input=text.encode())
            examples += 1
    assert examples == 2, examples


def example_configurations_are_right():
    for path in glob.glob("conf/*.ini"):
        run(PACKGATE, "check", path)


# ---- installing ----

EXAMPLES = ["99-packgate.rules", "demo.ini", "evcc.yaml", "grafana.json", "homeassistant-basic.yaml", "homeassistant-cells.yaml",
            "iobroker.tsv", "homeassistant.yaml", "mbpoll.txt", "modbus-map-example.txt", "nginx.conf", "nodered.json", "packgate.ini",
            "push-smartbms.ini", "tasmota-display.txt", "tasmota.txt", "telegraf.conf"]
DOC = "usr/share/doc/packgate"
OUTLETS = [f"usr/lib/packgate/packgate-outlet-{name}" 
           for name in sorted(os.listdir("gateway/outlets")) if os.path.isdir(f"gateway/outlets/{name}")]
INSTALLED = sorted(["etc/packgate/packgate.ini", "usr/bin/packgate", *OUTLETS,
                    *(f"usr/lib/systemd/system/{name}" for name in ("packgate.service", "packgate-setup.socket", "packgate-setup@.service")),
                    "usr/lib/sysusers.d/packgate.conf",
                    *(f"{DOC}/{name}" for name in ("LICENSE", "LICENSE.uPlot", "NEWS", "README.md", "register-map.md")),
                    *(f"{DOC}/docs/{name}" for name in files_below("docs")), *(f"{DOC}/examples/{name}" for name in EXAMPLES),
                    *(f"{DOC}/examples/views/{name}" for name in os.listdir("conf/views")),
                    *(f"{DOC}/examples/clients/{name}" for name in os.listdir("conf/clients")),
                    *(f"{DOC}/examples/fleet/{name}" for name in os.listdir("conf/fleet")),
                    *(f"{DOC}/examples/maps/{name}" for name in os.listdir("conf/maps")),
                    "usr/share/man/man1/packgate.1", "usr/share/man/man5/packgate.ini.5"])


def lost_links(folder):
    """Links of the installed pages that lead nowhere, except to what only the source has."""
    of_source = re.compile(r"\.\./(tests|packaging|registers)/|(CONTRIBUTING|HACKING|bms/README)\.md$")
    return [(page, link) for page in glob.glob(f"{folder}/**/*.md", recursive=True)
            for link in re.findall(r"\]\(([^)\s#:]+)[)#]", read_text(page))
            if not of_source.search(link) and not os.path.exists(f"{os.path.dirname(page)}/{link}")]


def installs_and_uninstalls():
    with tempfile.TemporaryDirectory() as root:
        make("install", f"DESTDIR={root}", "PREFIX=/usr")
        assert files_below(root) == INSTALLED, files_below(root)
        assert not (lost := lost_links(f"{root}/{DOC}")), lost
        programs = [f"{root}/usr/bin/packgate", *(f"{root}/{name}" for name in OUTLETS)]
        sizes = [os.path.getsize(program) for program in programs]
        make("install-strip", f"DESTDIR={root}", "PREFIX=/usr")
        assert files_below(root) == INSTALLED and all(os.path.getsize(program) < size for program, size in zip(programs, sizes))
        assert run(f"{root}/usr/bin/packgate", "--version").startswith("packgate ")
        run(f"{root}/usr/bin/packgate", "check", f"{root}/etc/packgate/packgate.ini")
        make("uninstall", f"DESTDIR={root}", "PREFIX=/usr")
        assert files_below(root) == ["etc/packgate/packgate.ini"], files_below(root)


def keeps_a_configuration():
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(f"{root}/etc/packgate")
        with open(f"{root}/etc/packgate/packgate.ini", "w") as file:
            file.write("mine\n")
        make("install", f"DESTDIR={root}", "PREFIX=/usr/local")
        assert read_text(root, "etc/packgate/packgate.ini") == "mine\n"
        unit = read_text(root, "usr/local/lib/systemd/system/packgate.service")
        assert re.findall("^Exec.*=(.*packgate.*)$", unit, re.M) == ["-+/usr/local/bin/packgate setup-save --undo",
                                                                     "/usr/local/bin/packgate run --helper /run/packgate-setup.sock",
                                                                     "/usr/local/bin/packgate check"]


# ---- the service ----

def unit_is_valid_and_confined():
    with tempfile.TemporaryDirectory() as folder:
        unit = os.path.join(folder, "packgate.service")
        with open(unit, "w") as file:
            file.write(read_text(SERVICE).replace("/usr/bin/packgate", PACKGATE))
        complaints = run("systemd-analyze", "verify", "--man=no", unit)
        assert "packgate.service" not in complaints, complaints
        run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)


def helper_is_valid_and_confined():
    """It runs as root, and can only write below /etc/packgate."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("packgate-setup.socket", "packgate-setup@.service"):
            with open(os.path.join(folder, name), "w") as file:
                file.write(read_text(f"conf/{name}").replace("/usr/bin/packgate", PACKGATE))
        complaints = run("systemd-analyze", "verify", "--man=no", os.path.join(folder, "packgate-setup.socket"))
        assert "packgate-setup" not in complaints, complaints
        run("systemd-analyze", "security", "--offline=true", "--threshold=30", os.path.join(folder, "packgate-setup@.service"))


def heard_of_service(manager):
    """The next message; the status comes at its own time."""
    while (said := manager.recv(4096)).startswith(b"STATUS="):
        pass
    return said


def service_does_what_its_unit_says():
    """READY=1 once it listens, or systemd gives up; watchdog messages; reload by SIGHUP; STOPPING=1."""
    settings = dict(re.findall(r"^(\w+)=(.*)$", read_text(SERVICE), re.M))
    assert (settings["Type"], settings["WatchdogSec"]) == ("notify", "30s")
    assert re.findall("^ExecReload=(.*)$", read_text(SERVICE), re.M) == ["/usr/bin/packgate check",
                                                                         "/bin/kill -HUP $MAINPID"]
    config = "[line bench]\nport = sim:\nprotocol = daly\n[pack bench]\nline = bench\nunit = 1\n"
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.path.join(folder, "notify"))
        manager.settimeout(PATIENCE)
        os.environ.update(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="200000")
        try:
            gateway = Gateway(config)
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        with gateway:
            assert heard_of_service(manager) == b"READY=1"
            gateway.client().close()
            assert heard_of_service(manager) == b"WATCHDOG=1"
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for("the new configuration is in force")
            gateway.process.send_signal(signal.SIGTERM)
            while (said := heard_of_service(manager)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1", said


def udev_rules_are_well_formed():
    rules = [line[1:] for line in read_text("conf/99-packgate.rules").splitlines() if line.startswith("#SUBSYSTEM")]
    assert len(rules) == 3
    for rule in rules:
        for part in rule.split(", "):
            assert re.fullmatch(r'[A-Z]+(\{[A-Z_]+\})?(==|=|\+=)"[^"]+"', part), part


# ---- the Debian packages ----

LIBRARIES = {"packgate": {"libmodbus5", "libserialport0", "libev4", "libinih1", "libjansson4", "liblua5.4-0", "libc6"},
             "packgate-outlets": {"packgate", "libmosquitto1", "libmicrohttpd12", "libsqlite3-0", "libcurl4", "libjansson4"}}
ALONE = {}


def packages():
    """The packages by name. Packages of the same source are not built again."""
    if not ALONE:
        debs = [line for line in make("deb", "QUICK=yes").splitlines() if line.endswith(".deb")]
        ALONE.update({os.path.basename(deb).split("_")[0]: deb for deb in debs})
    return ALONE


def fields_of(deb):
    return dict(re.findall(r"^([A-Z][A-Za-z-]+): (.*)$", run("dpkg-deb", "--field", deb), re.M))


def packages_are_complete():
    version = run(PACKGATE, "--version").split()[1]
    with open("/etc/os-release", encoding="utf-8") as file:
        of_trixie = "VERSION_CODENAME=trixie" in file.read()
    assert sorted(packages()) == ["packgate", "packgate-outlets"], packages()
    # README installs exactly these with packgate*.deb, and no debug symbols.
    folder, architecture = os.path.dirname(packages()["packgate"]), run("dpkg", "--print-architecture").strip()
    assert sorted(glob.glob(f"{folder}/packgate*_{architecture}.deb")) == sorted(packages().values())
    assert len(glob.glob(f"{folder}/debug/packgate*-dbgsym_*_{architecture}.deb")) == 2
    with tempfile.TemporaryDirectory() as root:
        for name, deb in packages().items():
            fields = fields_of(deb)
            assert (fields["Package"], fields["Version"]) == (name, version + ("+trixie" if of_trixie else "")), fields
            assert fields["Architecture"] == run("dpkg", "--print-architecture").strip()
            depends = {part.split()[0].removesuffix("t64") for part in fields["Depends"].split(", ")}  # Debian 13 has renamed some
            assert LIBRARIES[name] <= depends, depends
            owners = {line.split()[1] for line in run("dpkg-deb", "--contents", deb).splitlines()}
            assert owners == {"root/root"}, owners
            run("dpkg-deb", "--extract", deb, f"{root}/{name}")
        assert "libmosquitto1" not in fields_of(packages()["packgate"])["Depends"]
        pages = {name: re.sub(f"^{DOC}/LICENSE$", f"{DOC}/copyright", re.sub(r"(man\d/.*|NEWS)$", r"\1.gz", name))
                 for name in INSTALLED}
        units = "usr/lib/systemd" if of_trixie else "lib/systemd"
        wanted = [pages[name].replace("usr/lib/systemd", units).replace("etc/packgate/", "usr/share/packgate/")
                  for name in INSTALLED if name not in OUTLETS]
        found = [name for name in files_below(f"{root}/packgate") if name.split("/")[-1] not in ("changelog.gz", "libraries")]
        assert found == sorted(wanted), sorted(set(found) ^ set(wanted))
        others = files_below(f"{root}/packgate-outlets")
        assert others == sorted([*OUTLETS, "usr/share/doc/packgate-outlets"]), others  # the last one is a link to that of the gateway
        # The gateway runs without the other package.
        assert run(f"{root}/packgate/usr/bin/packgate", "--version") == f"packgate {version}\n"
        run(f"{root}/packgate/usr/bin/packgate", "check", f"{root}/packgate/usr/share/packgate/packgate.ini")
        libraries = read_text(f"{root}/packgate/{DOC}", "libraries")
        assert re.search(r"^  libmodbus\S*  LGPL", libraries, re.M) and re.search(r"^  libmicrohttpd\S*  LGPL", libraries, re.M)
        run("dpkg-deb", "--control", packages()["packgate"], f"{root}/control")
        # Everybody changes the configuration: as a conffile, each upgrade would ask about it.
        assert not os.path.exists(f"{root}/control/conffiles")
        run("md5sum", "--check", "--quiet", "../control/md5sums", cwd=f"{root}/packgate")


def packages_please_lintian():
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", *packages().values())
    assert not re.search("^[EW]:", said, re.M), said


def source_archive_is_whole():
    """It contains the files of git, and those that the page needs from the network, always byte for byte the same."""
    archive = f"{os.path.dirname(packages()['packgate'])}/packgate-{make('version').strip()}.tar.gz"
    with open(archive, "rb") as file:
        first = file.read()
    names = {name.split("/", 1)[1] for name in run("tar", "-tzf", archive).splitlines()}
    page = "gateway/outlets/web/page/uplot/"
    assert {f"{page}uPlot.iife.min.js", f"{page}uPlot.min.css", f"{page}LICENSE", "Makefile", "bms/jbd/jbd.c"} <= names
    sources = {f"{room}/{name}" for room in ("bms", "conf", "docs", "gateway", "man", "packaging", "registers") for name in files_below(room)
               if re.search(r"\.([1-5ch]|css|html|ini|js|md|mk|png|svg|txt|webp|yaml)$", name)}
    assert len(sources) > 600 and sources <= names, f"{len(sources)}, missing: {sorted(sources - names)}"
    assert not [name for name in names if name.startswith("build/") or "node_modules" in name]
    assert make("dist").splitlines()[-1] == archive
    with open(archive, "rb") as file:
        assert file.read() == first, "made twice, it has other bytes"


def forge_does_what_the_makefile_can():
    """The workflows are not run here; the programs that they call exist, for all architectures, and the text of a tag
    is found."""
    with open(".github/workflows/ci.yml", encoding="utf-8") as file:
        jobs = yaml.load(file, yaml.CSafeLoader)["jobs"]
    assert set(jobs["test"]["strategy"]["matrix"]["debian"]) == {"bookworm", "trixie"}
    assert set(jobs["cross"]["strategy"]["matrix"]["arch"]) == {"arm64", "armhf", "s390x"}
    with open(".github/workflows/release.yml", encoding="utf-8") as file:
        jobs.update({f"release/{name}": job for name, job in yaml.load(file, yaml.CSafeLoader)["jobs"].items()})
    targets = {target for job in jobs.values() for step in job["steps"] for target in re.findall(r"\bmake (?:-s )?([a-z][a-z-]+)", step.get("run", ""))
               if "apt-get" not in step.get("run", "")}
    assert {"check-arch", "check-musl", "check-reproducible", "release", "version"} <= targets, targets
    make("--dry-run", *sorted(targets))
    version = run(PACKGATE, "--version").split()[1]
    assert make("version").strip() == version
    news = run("packaging/news", version)
    assert "\nPackages\n" in news and "packgate 0.1.0" not in news
    assert "Ready files" in run("packaging/news", "0.1.0")


class Host:
    """A root with the program, in which calls of the maintainer scripts to systemd are only recorded."""

    def __init__(self, folder):
        self.root = folder
        self.calls = os.path.join(folder, "calls")
        self.config = f"{folder}/etc/packgate/packgate.ini"
        for part in ("bin", "usr/bin", "usr/share/packgate", "var/lib/packgate", "var/lib/private/packgate", "control"):
            os.makedirs(os.path.join(folder, part))
        shutil.copy(PACKGATE, f"{folder}/usr/bin/packgate")
        shutil.copy("conf/packgate.ini", f"{folder}/usr/share/packgate/packgate.ini")
        for name in ("systemctl", "deb-systemd-invoke", "deb-systemd-helper"):
            with open(f"{folder}/bin/{name}", "w") as file:
                file.write(f'#!/bin/sh\n[ {name} = deb-systemd-helper ] || echo "$*" >>{self.calls}\n')
            os.chmod(f"{folder}/bin/{name}", 0o755)
        run("dpkg-deb", "--control", packages()["packgate"], f"{folder}/scripts")

    def script(self, name, *arguments):
        """Runs a maintainer script of the package as on a host with systemd; returns (output, recorded calls)."""
        open(self.calls, "w").close()
        path = f"{self.root}/control/{name}"
        with open(path, "w") as file:
            file.write(read_text(self.root, "scripts", name).replace("/run/systemd/system", self.root))
        environment = dict(os.environ, DPKG_ROOT=self.root, PATH=f"{self.root}/bin:{os.environ['PATH']}")
        said = run("sh", path, *arguments, env=environment)
        return said, read_text(self.calls).splitlines()


RELOAD, RESTART, STOP = "--system daemon-reload", "try-restart packgate.service", "stop packgate-setup.socket packgate.service"


def first_installation_starts_nothing():
    with tempfile.TemporaryDirectory() as folder:
        host = Host(folder)
        said, calls = host.script("postinst", "configure", "")
        assert calls == [] and "systemctl enable --now packgate" in said, (said, calls)
        assert "sudo packgate setup" in said
        # Set-up in a browser needs nothing else.
        text = read_text(host.config)
        assert "[web]" in text and "[pack" not in text and "no mistakes" in run(PACKGATE, "check", host.config), text
        assert os.stat(host.config).st_mode & 0o777 == 0o644
        with open(host.config, "w") as file:
            file.write("mine\n")
        host.script("postinst", "configure", "")
        assert read_text(host.config) == "mine\n"


def upgrade_goes_on_with_a_right_configuration_only():
    with tempfile.TemporaryDirectory() as folder:
        host = Host(folder)
        host.script("postinst", "configure", "")
        assert host.script("prerm", "upgrade", "0.2")[1] == []
        assert host.script("postinst", "configure", "0.0.9")[1] == [RELOAD, RESTART]
        with open(host.config, "a") as file:
            file.write("colour = blue\n")
        said, calls = host.script("postinst", "configure", "0.0.9")
        assert calls == [RELOAD] and "unknown key 'colour'" in said and "not restarted" in said, (said, calls)


def removal_stops_and_purge_forgets():
    with tempfile.TemporaryDirectory() as folder:
        host = Host(folder)
        host.script("postinst", "configure", "")
        assert host.script("prerm", "remove")[1] == [STOP]
        host.script("postrm", "remove")
        assert os.path.isdir(f"{folder}/var/lib/packgate") and os.path.exists(host.config)
        host.script("postrm", "purge")
        assert not os.path.exists(f"{folder}/etc/packgate")
        assert os.listdir(f"{folder}/var/lib") == ["private"] and os.listdir(f"{folder}/var/lib/private") == []


for tool in ("make", "groff", "dpkg-buildpackage", "dh", "lintian", "systemd-analyze"):
    assert shutil.which(tool), f"{tool} is missing"
main([generated_documents_are_current, manual_has_all_commands_and_options, manual_pages_have_no_mistakes,
      examples_of_manual_are_right, example_configurations_are_right, installs_and_uninstalls, keeps_a_configuration, unit_is_valid_and_confined, helper_is_valid_and_confined,
      service_does_what_its_unit_says, udev_rules_are_well_formed, packages_are_complete,
      packages_please_lintian, source_archive_is_whole, forge_does_what_the_makefile_can,
      first_installation_starts_nothing, upgrade_goes_on_with_a_right_configuration_only, removal_stops_and_purge_forgets])
