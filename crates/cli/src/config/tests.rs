//! What the file may say, and what is said about the rest.

use std::time::Duration;

use super::schema::read;
use super::source::{MAX_LENGTH, decode};
use super::*;

/// Vectors of the hashname's specification: endpoints of nobody.
const ONE: &str = "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa";
const OTHER: &str = "jvdoio6kjvf3yqnxfvck43twaibbg4pmb7y3mqnvxafb26rqllwa";

fn name(text: &str) -> ContactName {
    text.parse().unwrap()
}

fn words(grants: &Grants) -> Vec<&str> {
    grants.iter().map(telemesh::Grant::as_str).collect()
}

/// All problems, each on a line.
#[track_caller]
fn problems(text: &str) -> String {
    let problems = read(text).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn one_problem(text: &str, wanted: &str) {
    assert_eq!(problems(text), wanted, "{text}");
}

#[test]
fn every_setting_is_read() {
    let config = read(&format!(
        "listen = [\"0.0.0.0:42424\", \"[::]:42424\"]\npublic = true\nrouter = true\nlog = \"telemesh=debug\"\n\
         max_links = 1_000\nsurvive_down = \"2m\"\n[contacts.bob]\nlink = \"{ONE}\"\n\
         grants = [\"sock:10.0.0.1:22\", \"link\", \"link\"]\n[contacts.carol]\nlink = \"{OTHER}\"\nrouter = true"
    ))
    .unwrap();
    assert_eq!(config.listen, ["0.0.0.0:42424".parse().unwrap(), "[::]:42424".parse().unwrap()]);
    assert_eq!(config.router, Some(true));
    assert_eq!((config.public, config.log.as_deref()), (Some(true), Some("telemesh=debug")));
    assert_eq!((config.max_links, config.survive_down), (Some(1_000), Some(Duration::from_secs(120))));
    let bob = &config.contacts[&name("bob")];
    assert_eq!(bob.hashname.to_string(), ONE);
    assert_eq!(words(&bob.grants), ["link", "sock:10.0.0.1:22"]);
    assert_eq!(words(&config.contacts[&name("carol")].grants), ["link"], "whoever is named may link");
    assert!(!bob.router && config.contacts[&name("carol")].router);
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "\n\n", "# nothing\r\n", "\u{20}\t"] {
        assert_eq!(read(text).unwrap(), Config::default(), "{text:?}");
    }
    assert_eq!(decode("\u{feff}public = true".into()).unwrap(), "public = true");
}

#[test]
fn one_address_needs_no_brackets() {
    assert_eq!(read("listen = \"127.0.0.1:1\"").unwrap().listen, ["127.0.0.1:1".parse().unwrap()]);
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest() {
    one_problem("\nlistn = []", "line 2: listn: unknown key, did you mean `listen`?");
    one_problem("Max-Links = 3", "line 1: Max-Links: unknown key, did you mean `max_links`?");
    one_problem(
        "colour = 1",
        "line 1: colour: unknown key; known here: listen, public, router, log, max_links, survive_down, \
         discover, mdns, box, box_per_sender, box_per_recipient, box_total, box_max_message, box_keep, \
         box_tell, box_via, serve, network, contacts",
    );
    one_problem(
        &format!("[contacts.bob]\nlink = \"{ONE}\"\ngrant = []"),
        "line 3: contacts.bob.grant: unknown key, did you mean `grants`?",
    );
    one_problem(
        &format!("[contacts.bob]\nlink = \"{ONE}\"\npublic = true"),
        "line 3: contacts.bob.public: unknown in this section: settings of the whole endpoint stand above \
         the first [section]",
    );
}

#[test]
fn what_is_kept_for_others_has_quotas() {
    let config = read(
        "box = \"memory\"\nbox_per_sender = \"32MiB\"\nbox_per_recipient = \"128 MiB\"\nbox_total = \"2GiB\"\n\
         box_max_message = \"1MiB\"\nbox_keep = \"12h\"\nbox_tell = false",
    )
    .unwrap();
    let limits = config.quotas.limits();
    assert_eq!((limits.per_sender, limits.per_recipient, limits.total), (32 << 20, 128 << 20, 2 << 30));
    assert_eq!((limits.max_message, limits.time_to_live), (1 << 20, Duration::from_secs(12 * 3600)));
    assert_eq!(config.box_tell, Some(false));
    one_problem(
        "box_total = \"much\"",
        "line 1: box_total: found \"much\": a number with its unit is needed, like 512KiB, 64MiB or 2GiB",
    );
}

#[test]
fn the_gateway_is_asked_only_by_who_says_so() {
    assert_eq!(read("").unwrap().port_mapping, None);
    assert_eq!(read("[network]\nport_mapping = true").unwrap().port_mapping, Some(true));
    one_problem(
        "port_mapping = true",
        "line 1: port_mapping: unknown key; known here: listen, public, router, log, max_links, survive_down, \
         discover, mdns, box, box_per_sender, box_per_recipient, box_total, box_max_message, box_keep, \
         box_tell, box_via, serve, network, contacts",
    );
    one_problem(
        "[network]\nport_maping = true",
        "line 2: network.port_maping: unknown key, did you mean `port_mapping`?",
    );
    one_problem(
        "[network]\nport_mapping = 1",
        "line 2: network.port_mapping: found the number 1, wanted true or false",
    );
}

#[test]
fn what_is_served_is_a_folder_or_a_url() {
    for good in ["/", "http://127.0.0.1:3000/app", "h2c://[::1]:80"] {
        assert_eq!(read(&format!("serve = \"{good}\"")).unwrap().serve.as_deref(), Some(good));
    }
    for bad in ["/no/such/folder", "https://127.0.0.1", "http://127.0.0.1/?x"] {
        let problem = problems(&format!("serve = \"{bad}\""));
        assert!(problem.starts_with("line 1: serve: found"), "{problem}");
    }
}

#[test]
fn wrong_types_say_what_was_found_and_what_is_wanted() {
    one_problem("public = 1", "line 1: public: found the number 1, wanted true or false");
    one_problem("log = true", "line 1: log: found true, wanted a filter like \"info\" or \"telemesh=debug\"");
    one_problem(
        "listen = [\"0.0.0.0:1\",\n 7]",
        "line 2: listen[2]: found the number 7, wanted an address like \"0.0.0.0:42424\"",
    );
    one_problem(
        "contacts = 2026-01-01",
        "line 1: contacts: found a date, wanted sections like [contacts.bob]",
    );
    one_problem(
        "contacts.bob = []",
        "line 1: contacts.bob: found a list, wanted a section with `link`, `grants` and `router`",
    );
    one_problem("survive_down = 60", "line 1: survive_down: found the number 60, wanted a time like \"60s\"");
}

#[test]
fn values_are_taken_up_to_their_limits_and_no_further() {
    for (text, links) in [("1", 1), ("1_048_576", 1_048_576), ("0x10", 16)] {
        assert_eq!(read(&format!("max_links = {text}")).unwrap().max_links, Some(links));
    }
    for bad in ["0", "1048577", "-1", "99999999999999999999999"] {
        let problem = problems(&format!("max_links = {bad}"));
        assert!(problem.ends_with(", wanted a whole number from 1 to 1048576"), "{problem}");
    }
    assert_eq!(read("survive_down = \"24h\"").unwrap().survive_down, Some(Duration::from_secs(86_400)));
    for bad in ["86401s", "25h", "-1s", "1.5h", "s", "60", "", "5 parsecs", "99999999999999999999d", "１s"] {
        let problem = problems(&format!("survive_down = \"{bad}\""));
        assert!(problem.starts_with("line 1: survive_down: found"), "{problem}");
    }
    for bad in ["0.0.0.0", "example.org:1", ":1", "1.2.3.4:99999", "[::1]"] {
        let problem = problems(&format!("listen = \"{bad}\""));
        assert!(problem.contains("an IP address and a port are needed"), "{problem}");
    }
    let listen = read("listen = [\"udp:0.0.0.0:1\", \"quic:[::]:443\"]").unwrap().listen;
    assert_eq!(listen, ["0.0.0.0:1".parse().unwrap(), "quic:[::]:443".parse().unwrap()]);
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_lines() {
    let text = "listen = \"here\"\npublik = true\nmax_links = \"many\"\n[contacts.bob]\ngrants = [\"al l\"]";
    let problems = read(text).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5], "{problems:?}");
}

#[test]
fn malformed_text_names_the_line() {
    for text in
        ["public = true\nlisten = [", "x = 1\nx = 2", "public = true\n\u{0}", "a = 1\n= 3", "b = 1\n[c"]
    {
        let problems = read(text).unwrap_err();
        assert!((1..=2).contains(&problems[0].line) && problems[0].key.is_empty(), "{problems:?}");
        assert!(!problems[0].problem.is_empty() && !problems[0].problem.contains('\n'), "{problems:?}");
    }
}

#[test]
fn what_is_not_utf_8_names_the_place() {
    let problem = decode(b"public = true\n# gr\xfcn".to_vec()).unwrap_err();
    assert_eq!((problem.line, problem.column), (2, 5));
    let utf_16: Vec<u8> = "\u{feff}a=1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(decode(utf_16).unwrap_err().problem.contains("UTF-16"));
}

#[test]
fn a_text_of_problems_is_neither_slow_nor_long() {
    let many: String = (0..10_000).map(|number| format!("key{number} = 1\n")).collect();
    assert_eq!(read(&many).unwrap_err().len(), reader::MAX_PROBLEMS);
    let line = "x".repeat(MAX_LENGTH - 100);
    let problem = problems(&format!("{line} = 1"));
    assert!(problem.len() < 300, "{problem}");
    let problem = problems(&format!("log = [\"{line}\"]"));
    assert!(problem.len() < 300, "{problem}");
    let problem = problems(&format!("listen = \"{line}\""));
    assert!(problem.len() < 300, "{problem}");
    assert!(read(&format!("a = {}1", "[".repeat(100_000))).is_err());
    assert!(read(&"[a]\n".repeat(10_000)).is_err());
    assert!(read(&"= \n".repeat(10_000)).is_err());
}

#[test]
fn contacts_are_told_apart() {
    let bob = format!("[contacts.bob]\nlink = \"{ONE}\"\n");
    let robert = format!("{bob}[contacts.robert]\nlink = \"{ONE}\"");
    one_problem(&robert, "line 3: contacts.robert: this is the same endpoint as bob");
    one_problem("[contacts.bob]\ngrants = []", "line 1: contacts.bob: `link` is missing: who is it?");
    for name in ["\"\"", "\"a b\"", "\"-x\"", "\".x\"", ONE, "\"link://x\"", "\"a\\u202eb\"", &"x".repeat(64)]
    {
        let problem = problems(&format!("[contacts.{name}]\nlink = \"{OTHER}\""));
        assert!(problem.contains("name"), "{name}: {problem}");
    }
    for name in ["bob", "Bob-2", "\"bob.work\"", "\"jürgen\"", &"x".repeat(63)] {
        assert!(read(&format!("[contacts.{name}]\nlink = \"{OTHER}\"")).is_ok(), "{name}");
    }
}

#[test]
fn grants_are_known_words() {
    for grant in ["link", "serve", "router", "box", "sock:10.0.0.1:22", "org-example"] {
        assert!(read(&format!("[contacts.b]\nlink = \"{ONE}\"\ngrants = \"{grant}\"")).is_ok(), "{grant}");
    }
    for grant in ["", "serv", "Link", "lnik", "sock", "sock:", "socks:1.2.3.4:5"] {
        let problem = problems(&format!("[contacts.b]\nlink = \"{ONE}\"\ngrants = [\"{grant}\"]"));
        assert!(problem.starts_with("line 3: contacts.b.grants[1]: found"), "{problem}");
    }
}

#[test]
fn a_secret_in_a_link_is_refused_and_not_repeated() {
    let keys = telemesh::generate_keys().unwrap();
    let info = telemesh::LinkInfo::new(keys.public().clone()).unwrap();
    let plain = telemesh::LinkUri::new(info.clone());
    assert!(read(&format!("[contacts.b]\nlink = '{plain}'")).is_ok());
    assert!(read(&format!("[contacts.b]\nlink = '{}'", info.to_json())).is_ok());
    let secret = plain.with_invite(telemesh::wire::InviteSecret::from_bytes([7; 32])).to_secret_string();
    let fragment = secret.split_once('#').unwrap().1;
    for text in [secret.to_string(), secret.replace("cs11", "cs1x"), format!("{}#{fragment}", "x".repeat(9))]
    {
        let problem = problems(&format!("[contacts.b]\nlink = '{text}'"));
        assert!(problem.starts_with("line 2: contacts.b.link: "), "{problem}");
        assert!(!problem.contains(fragment), "{problem}");
    }
}

#[test]
fn a_reload_knows_what_it_can_apply() {
    let config = |text: &str| read(text).unwrap();
    let old = config(&format!(
        "listen = \"127.0.0.1:1\"\nlog = \"info\"\nmax_links = 5\n[contacts.bob]\nlink = \"{ONE}\"\n\
         [contacts.carol]\nlink = \"{OTHER}\""
    ));
    assert_eq!(old.changes(&old), []);
    let new = config(&format!(
        "listen = \"127.0.0.1:2\"\npublic = true\nlog = \"debug\"\nsurvive_down = \"1m\"\n\
         [contacts.bob]\nlink = \"{ONE}\"\ngrants = [\"serve\"]\n[contacts.dave]\nlink = \"{OTHER}\""
    ));
    let (restart, now): (Vec<_>, Vec<_>) = old.changes(&new).into_iter().partition(Change::needs_restart);
    assert_eq!(restart, [Change::Listen, Change::Public, Change::MaxLinks, Change::SurviveDown]);
    let bob = Change::ContactChanged(name("bob"));
    let carol = Change::ContactRemoved(name("carol"));
    assert_eq!(now, [Change::Log, bob, carol, Change::ContactAdded(name("dave"))]);
}
