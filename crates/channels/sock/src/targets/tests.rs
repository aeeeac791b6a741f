//! Every spelling of a target, and what it stands for.

use proptest::prelude::*;

use super::*;

#[test]
fn every_spelling_of_an_address_is_that_address() {
    for (text, shown) in [
        ("127.0.0.1:22", "127.0.0.1:22"),
        ("127.1:22", "127.0.0.1:22"),
        ("127.0.1:22", "127.0.0.1:22"),
        ("127.0.0.1.:22", "127.0.0.1:22"),
        ("0x7f.1:22", "127.0.0.1:22"),
        ("0X7F.0.0.0x1:22", "127.0.0.1:22"),
        ("0177.0.0.1:22", "127.0.0.1:22"),
        ("017700000001:22", "127.0.0.1:22"),
        ("2130706433:22", "127.0.0.1:22"),
        ("0x7f000001:22", "127.0.0.1:22"),
        ("0:22", "0.0.0.0:22"),
        ("0x:22", "0.0.0.0:22"),
        ("0.0.0.0:22", "0.0.0.0:22"),
        ("10.1:22", "10.0.0.1:22"),
        ("[::ffff:127.0.0.1]:22", "127.0.0.1:22"),
        ("[::ffff:7f00:1]:22", "127.0.0.1:22"),
        ("[::127.0.0.1]:22", "127.0.0.1:22"),
        ("[0:0:0:0:0:0:0:1]:22", "[::1]:22"),
        ("[::]:22", "[::]:22"),
        ("[64:ff9b::7f00:1]:22", "[64:ff9b::7f00:1]:22"),
        ("localhost:22", "localhost:22"),
        ("LOCALHOST.:22", "localhost:22"),
        ("a.localhost:22", "localhost:22"),
        ("Host.Name.:22", "host.name:22"),
        ("notlocalhost:22", "notlocalhost:22"),
        ("localhost.example:22", "localhost.example:22"),
        ("1.example:22", "1.example:22"),
        ("_dns.example:53", "_dns.example:53"),
    ] {
        assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(shown.to_owned()), "{text}");
    }
}

#[test]
fn what_is_none_is_refused_with_the_reason() {
    let long_label = format!("{}.example:1", "a".repeat(64));
    let long_name = format!("{}com:1", "a.".repeat(126));
    for (text, error) in [
        ("", ParseTargetError::Form),
        ("10.0.0.1", ParseTargetError::Form),
        ("10.0.0.1:", ParseTargetError::Port),
        ("10.0.0.1:0", ParseTargetError::Port),
        ("10.0.0.1:00", ParseTargetError::Port),
        ("10.0.0.1:022", ParseTargetError::Port),
        ("10.0.0.1:+22", ParseTargetError::Port),
        ("10.0.0.1:65536", ParseTargetError::Port),
        ("10.0.0.1:ssh", ParseTargetError::Port),
        ("::1:22", ParseTargetError::Bracket),
        ("[::1:22", ParseTargetError::Bracket),
        ("[10.0.0.1]:22", ParseTargetError::Bracket),
        ("[fe80::1%eth0]:22", ParseTargetError::Bracket),
        ("[localhost]:22", ParseTargetError::Bracket),
        ("256.0.0.1:22", ParseTargetError::Address),
        ("1.2.3.4.5:22", ParseTargetError::Address),
        ("10.0.0.256:22", ParseTargetError::Address),
        ("4294967296:22", ParseTargetError::Address),
        ("09.0.0.1:22", ParseTargetError::Address),
        ("a.1:22", ParseTargetError::Address),
        ("example.0x1:22", ParseTargetError::Address),
        (":22", ParseTargetError::Name),
        ("a..b:22", ParseTargetError::Name),
        (".a:22", ParseTargetError::Name),
        ("-rf:22", ParseTargetError::Name),
        ("a b:22", ParseTargetError::Name),
        ("a\u{0}b:22", ParseTargetError::Name),
        ("exämple:22", ParseTargetError::Name),
        ("user@host:22", ParseTargetError::Name),
        ("10.0.0.1/8:22", ParseTargetError::Name),
        (&long_label, ParseTargetError::Name),
        (&long_name, ParseTargetError::Name),
    ] {
        assert_eq!(text.parse::<Target>(), Err(error), "{text}");
    }
}

#[test]
fn a_name_has_253_bytes_and_its_labels_63_and_no_more() {
    let label = "l".repeat(63);
    let longest = [&*label, &label, &label, &"e".repeat(61)].join(".");
    assert_eq!(longest.len(), 253);
    for name in [&longest, &format!("{longest}."), &format!("{label}.example")] {
        let target = format!("{name}:1").parse::<Target>().unwrap();
        assert_eq!(target.to_string(), format!("{}:1", name.trim_end_matches('.')));
    }
    for name in
        [format!("{longest}e"), format!("{longest}e."), format!("{label}l.example"), format!("x.{label}l")]
    {
        assert_eq!(format!("{name}:1").parse::<Target>(), Err(ParseTargetError::Name), "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_the_same(text in "[-_.:\\[\\]%0-9a-fxX]{0,40}|[a-z0-9.-]{1,60}:[0-9]{1,5}") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
        }
    }

    #[test]
    fn an_address_in_any_base_is_the_address(bits: u32, port in 1u16..) {
        let expected = Target::new(Ipv4Addr::from_bits(bits), port).unwrap();
        for text in [format!("{bits}:{port}"), format!("{bits:#x}:{port}"), format!("0{bits:o}:{port}")] {
            prop_assert_eq!(text.parse::<Target>(), Ok(expected.clone()), "{}", text);
        }
        for address in [expected.address().unwrap().ip(), Ipv4Addr::from_bits(bits).to_ipv6_mapped().into()] {
            prop_assert_eq!(Target::new(address, port), Ok(expected.clone()));
        }
    }
}
