//! Secrets do not show in what is printed.

use telemesh_hashname::{CipherSetId, base32};
use telemesh_wire::{
    Control, Credential, Hello, InviteSecret, LinkInfo, LinkTarget, LinkUri, NoiseMessage, ResponseMacKey,
    RouterHint,
};

use crate::values::{hello, keys};

/// How somebody might print these bytes.
fn spellings(bytes: &[u8]) -> [String; 3] {
    let list = format!("{bytes:?}");
    [data_encoding::HEXLOWER.encode(bytes), base32::encode(bytes), list.trim_matches(['[', ']']).to_owned()]
}

#[track_caller]
fn assert_hidden(text: &str, secret: &[u8]) {
    for spelling in spellings(secret) {
        assert!(!text.contains(&spelling), "{spelling} is in {text}");
    }
}

#[test]
fn a_hello_prints_neither_its_credential_nor_its_key() {
    let hello = Hello {
        credential: Credential::new(vec![201; 40]).unwrap(),
        response_mac_key: ResponseMacKey::from_bytes([202; 16]),
        ..hello()
    };
    let text = format!("{hello:?}");
    assert_hidden(&text, &[201; 3]);
    assert_hidden(&text, &[202; 3]);
    assert!(text.contains("40 bytes"), "{text}");
}

#[test]
fn a_uri_prints_its_secret_only_when_asked_to() {
    let secret = [203; 32];
    let uri = LinkUri::new(LinkInfo::new(keys()).unwrap()).with_invite(InviteSecret::from_bytes(secret));
    assert_hidden(&format!("{uri:?}"), &secret);
    assert_hidden(&uri.to_string(), &secret);
    assert!(!uri.to_string().contains('#'));
    assert!(uri.to_secret_string().contains(&base32::encode(&secret)));
    let target = LinkTarget::from(uri);
    assert_hidden(&format!("{target} {target:?}"), &secret);
}

#[test]
fn a_uri_that_is_not_understood_is_not_repeated() {
    let secret = base32::encode(&[203; 32]);
    let key = base32::encode(keys().key(CipherSetId::CS11).unwrap());
    for text in [
        format!("link://host/?#{}.{secret}", "a".repeat(26)),
        format!("link://host/?cs11={key}&cs21={key}#{}.{secret}", "a".repeat(26)),
        format!("link://host/?cs11={key}&cs21={key}#{secret}"),
        secret.clone(),
        format!("{{\"x\":\"{secret}"),
    ] {
        let error = text.parse::<LinkTarget>();
        let Err(error) = error else { continue };
        assert!(!format!("{error} {error:?}").contains(&secret), "{error}");
    }
}

#[test]
fn a_ticket_is_written_but_not_printed() {
    let ticket = [204; 24];
    let hint = RouterHint {
        router: LinkInfo::new(keys()).unwrap(),
        ticket: Credential::new(ticket.to_vec()).unwrap(),
    };
    let info = LinkInfo::new(keys()).unwrap().with_path(hint).unwrap();
    assert_hidden(&format!("{info:?}"), &ticket);
    assert!(info.to_json().contains(&base32::encode(&ticket)));
    assert_hidden(&LinkTarget::from(info).to_string(), &ticket);
}

#[test]
fn noise_messages_print_their_length() {
    let noise = NoiseMessage::new(vec![205; 96]).unwrap();
    let text = format!("{:?}", Control::RenewInitiation { sender_index: 1, noise });
    assert!(text.contains("96 bytes"), "{text}");
    assert_hidden(&text, &[205; 3]);
}

#[test]
fn a_refusals_words_are_escaped_for_terminals() {
    let refusal =
        telemesh_wire::Refusal::new(telemesh_wire::RefusalCode::Application, "\u{1b}[2Jgone\u{202e}");
    let text = refusal.to_string();
    assert!(text.chars().all(|character| !character.is_control() && character != '\u{202e}'), "{text}");
}
