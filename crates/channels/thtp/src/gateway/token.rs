//! [`Token`]: who has it may use the gateway.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The secret of one home's gateway: 32 random bytes. Kept in a file that nobody else can read, so that a browser's session
/// outlives a restart.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Token([u8; 32]);

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a gateway's token: 43 characters of A-Z, a-z, 0-9, - and _")]
pub struct ParseTokenError;

impl Token {
    /// The token of these bytes, which come from the system's randomness.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As text, for URLs and headers: 43 characters.
    #[must_use]
    pub fn to_secret_string(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64URL_NOPAD.encode(&self.0))
    }

    /// Whether a text is this token, in a time that does not tell how much of it is right.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        self.to_secret_string().as_bytes().ct_eq(text).into()
    }

    /// What a browser's cookie of an origin must be.
    pub(super) fn cookie_of(&self, origin: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(b"telemesh gateway session\0");
        mac.update(origin.as_bytes());
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
    }

    /// Whether that is it.
    pub(super) fn is_cookie_of(&self, origin: &str, value: &[u8]) -> bool {
        let expected = self.cookie_of(origin);
        !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(value))
    }
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| ParseTokenError)?);
        Ok(Self(bytes.as_slice().try_into().map_err(|_| ParseTokenError)?))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_never_shown() {
        let token = Token::from_bytes([7; 32]);
        let text = token.to_secret_string();
        assert_eq!(text.len(), 43);
        let read: Token = text.parse().unwrap();
        assert!(read.is(text.as_bytes()) && token.is(text.as_bytes()));
        assert!(!token.is(b"") && !token.is(&text.as_bytes()[..42]));
        assert_eq!(format!("{token:?}"), "Token(…)");
        for bad in ["", "x", &text[1..], &format!("{}=", &*text)] {
            assert!(bad.parse::<Token>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_origin_has_a_cookie_of_its_own() {
        let token = Token::from_bytes([7; 32]);
        let cookie = token.cookie_of("http://a.localhost:1");
        assert!(token.is_cookie_of("http://a.localhost:1", cookie.as_bytes()));
        assert!(!token.is_cookie_of("http://b.localhost:1", cookie.as_bytes()));
        assert!(!token.is_cookie_of("http://a.localhost:2", cookie.as_bytes()));
        assert!(!Token::from_bytes([8; 32]).is_cookie_of("http://a.localhost:1", cookie.as_bytes()));
        assert!(!token.is(cookie.as_bytes()), "a cookie is not the token");
    }
}
