//! The way in through the gateway: whether the endpoint that is up was given one. The gateway itself is not asked again.

use std::path::Path;

use super::report::Check;
use crate::event::Mapping;

const NAME: &str = "port-mapping";

/// What came of it; `wanted` is what the configuration says.
pub(super) async fn check(home: &Path, wanted: bool) -> Check {
    match asked(home).await {
        Some(mapping) => judge(mapping, wanted),
        None if wanted => Check::skipped(NAME, "no endpoint is up that could have asked the gateway"),
        None => Check::skipped(NAME, OFF),
    }
}

const OFF: &str = "the gateway is not asked for a way in";

/// What the endpoint that is up says, if one is.
#[cfg(unix)]
async fn asked(home: &Path) -> Option<Option<Mapping>> {
    use crate::control::client::Client;
    use crate::event::Event;
    use crate::request::Request;

    let client = Client::connect(home).await.ok()??;
    client.send(&Request::Status {}).await.ok()?;
    while let Ok(Some(event)) = client.next_event().await {
        if let Event::Status(status) = event {
            return Some(status.mapping);
        }
    }
    None
}

#[cfg(not(unix))]
async fn asked(_: &Path) -> Option<Option<Mapping>> {
    None
}

fn judge(mapping: Option<Mapping>, wanted: bool) -> Check {
    match mapping {
        Some(Mapping { address: Some(address) }) => {
            Check::ok(NAME, format_args!("others reach the endpoint at {address}, the gateway's"))
        }
        Some(Mapping { address: None }) => Check::warning(
            NAME,
            "the gateway gives no way in",
            "switch on PCP, NAT-PMP or UPnP in the gateway's settings; a gateway behind another one cannot help. \
             Links through routers work without",
        ),
        None if wanted => {
            Check::skipped(NAME, "the endpoint that is up was started before that was switched on")
        }
        None => Check::skipped(NAME, OFF),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn a_gateway_that_does_not_help_is_a_warning_and_only_for_who_has_asked() {
        let mapping = |address: Option<&str>| Some(Mapping { address: address.map(ToOwned::to_owned) });
        assert_eq!(judge(mapping(Some("192.0.2.1:42424")), true).status, Status::Ok);
        let none = judge(mapping(None), true);
        assert!(none.status == Status::Warning && none.advice.is_some());
        assert_eq!(judge(None, false).status, Status::Skipped);
    }

    #[tokio::test]
    async fn without_an_endpoint_nobody_is_asked() {
        let home = tempfile::tempdir().unwrap();
        for wanted in [false, true] {
            assert_eq!(check(home.path(), wanted).await.status, Status::Skipped);
        }
    }
}
