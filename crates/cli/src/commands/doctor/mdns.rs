//! Finding others on the local network: whether their announcements can be heard here.

use std::io;

use telemesh::mdns::{Mdns, PORT};

use super::report::Check;

const NAME: &str = "mdns";

/// Whether announcements can be heard. Opens the sockets and closes them again; of that the network sees at most that this
/// machine has joined a group.
pub(super) fn check(wanted: Option<bool>) -> Check {
    if wanted == Some(false) {
        return Check::skipped(NAME, "it is switched off in the configuration");
    }
    judge(Mdns::open().map(|mdns| mdns.interfaces()))
}

fn judge(heard: io::Result<usize>) -> Check {
    match heard {
        Ok(0) => Check::warning(
            NAME,
            "there is no network on which others could be heard",
            "connect the machine to one; it is noticed while an endpoint is up",
        ),
        Ok(1) => Check::ok(NAME, "announcements on the local network are heard"),
        Ok(interfaces) => Check::ok(NAME, format_args!("announcements are heard on {interfaces} interfaces")),
        Err(error) => Check::warning(
            NAME,
            format_args!("nobody can be heard on the local network: {error}"),
            format_args!(
                "if another program has UDP port {PORT} for itself, end it; everything else works without"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn not_to_hear_others_is_never_a_failure_and_comes_with_advice() {
        assert_eq!(judge(Ok(2)).status, Status::Ok);
        for worse in [judge(Ok(0)), judge(Err(io::ErrorKind::AddrInUse.into()))] {
            assert_eq!(worse.status, Status::Warning);
            assert!(worse.advice.is_some());
        }
        assert_eq!(check(Some(false)).status, Status::Skipped);
    }
}
