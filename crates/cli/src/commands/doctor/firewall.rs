//! The firewall, as far as files tell of it that everybody can read: asking it takes root.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::Check;
use crate::listen::ListenAddress;

const NAME: &str = "firewall";

/// One check for whatever is here.
pub(super) fn checks(listen: &[ListenAddress]) -> Vec<Check> {
    // Only a port that stays the same can be opened; replies to what we send come in anyway.
    let ports: Vec<u16> = listen
        .iter()
        .map(|address| address.socket())
        .filter(|address| !address.ip().is_loopback() && address.port() != 0)
        .map(|address| address.port())
        .collect();
    vec![if cfg!(target_os = "linux") { linux(Path::new("/"), &ports) } else { elsewhere(&ports) }]
}

/// What Linux firewalls leave in files. `root` is where the file system begins.
fn linux(root: &Path, ports: &[u16]) -> Check {
    let here = |path: &str| -> PathBuf { root.join(path) };
    let ufw = fs::read_to_string(here("etc/ufw/ufw.conf")).is_ok_and(|text| says_enabled(&text));
    if ufw {
        return active("ufw", &commands(ports, "sudo ufw allow ", "/udp"), ports);
    }
    if here("run/firewalld.pid").exists() || here("run/firewalld").exists() {
        return active(
            "firewalld",
            &commands(ports, "sudo firewall-cmd --permanent --add-port=", "/udp"),
            ports,
        );
    }
    // Root and some kernels can read which tables of the older kind are in use.
    let tables =
        ["proc/net/ip_tables_names", "proc/net/ip6_tables_names"].map(|path| fs::read_to_string(here(path)));
    if tables.iter().flatten().any(|text| text.lines().any(|line| line == "filter")) {
        let command = commands(ports, "sudo iptables -I INPUT -p udp -j ACCEPT --dport ", "");
        return active("iptables", &command, ports);
    }
    let tools: Vec<&str> = [("nft", "nftables"), ("iptables", "iptables")]
        .into_iter()
        .filter(|(tool, _)| {
            ["usr/sbin", "sbin", "usr/bin"].iter().any(|folder| here(folder).join(tool).exists())
        })
        .map(|(_, name)| name)
        .collect();
    if tools.is_empty() {
        return Check::ok(NAME, "no firewall is installed here; there may be one outside of a container");
    }
    let advice = "`sudo nft list ruleset` shows whether UDP may come in; links that we start work either way";
    Check::skipped(NAME, format!("{} is installed, and only root can see its rules", tools.join(" and ")))
        .with_advice(advice)
}

/// Whether a line says `ENABLED=yes`.
fn says_enabled(text: &str) -> bool {
    text.lines().any(|line| line.trim().trim_matches('"').eq_ignore_ascii_case("enabled=yes"))
}

/// The command for each port.
fn commands(ports: &[u16], before: &str, behind: &str) -> String {
    let commands: Vec<String> = ports.iter().map(|port| format!("`{before}{port}{behind}`")).collect();
    commands.join(", ")
}

/// A firewall that is on.
fn active(name: &str, commands: &str, ports: &[u16]) -> Check {
    if ports.is_empty() {
        let found = format!("{name} is on: links that we start work, and so do those that both ends try");
        return Check::ok(NAME, found);
    }
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let found = format!("{name} is on and may keep others from UDP port {}", ports.join(", "));
    Check::warning(NAME, found, format!("if it is not open yet: {commands}"))
}

fn elsewhere(ports: &[u16]) -> Check {
    let advice = if cfg!(target_os = "macos") {
        "System Settings, Network, Firewall: let telemesh receive incoming connections"
    } else if cfg!(windows) {
        "Windows Security, Firewall: allow telemesh, or as administrator `netsh advfirewall firewall add rule \
         name=telemesh dir=in action=allow protocol=UDP program=PATH`"
    } else {
        "see whether UDP may come in; links that we start work either way"
    };
    let check = Check::skipped(NAME, "this program cannot see the firewall of this system");
    if ports.is_empty() { check } else { check.with_advice(advice) }
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn a_firewall_that_is_on_matters_only_for_a_port_that_stays() {
        for (files, name) in [
            (("etc/ufw/ufw.conf", "# x\nENABLED=yes\nLOGLEVEL=low\n"), "ufw"),
            (("run/firewalld.pid", "1"), "firewalld"),
            (("proc/net/ip_tables_names", "nat\nfilter\n"), "iptables"),
        ] {
            let root = machine(&[files]);
            let open = linux(root.path(), &[42_424]);
            assert_eq!(open.status, Status::Warning, "{name}");
            assert!(open.found.starts_with(name) && open.advice.unwrap().contains("42424"), "{name}");
            assert_eq!(linux(root.path(), &[]).status, Status::Ok, "{name}");
        }
    }

    #[test]
    fn what_only_root_can_see_is_not_guessed() {
        let root = machine(&[("usr/sbin/nft", ""), ("etc/ufw/ufw.conf", "ENABLED=no\n")]);
        let check = linux(root.path(), &[42_424]);
        assert_eq!(check.status, Status::Skipped);
        assert!(check.found.contains("nftables") && check.advice.unwrap().contains("nft list ruleset"));
        assert_eq!(linux(machine(&[]).path(), &[42_424]).status, Status::Ok);
    }

    #[test]
    fn loopback_and_changing_ports_need_no_hole() {
        let checks = checks(&["127.0.0.1:4242".parse().unwrap(), "0.0.0.0:0".parse().unwrap()]);
        assert!(checks.iter().all(|check| check.status != Status::Warning), "{checks:?}");
    }
}
