//! The TLS that QUIC asks for: new keys in every process, which say nothing about who we are.
//!
//! Identity rests on the link's own handshake inside. The server shows a raw public key ([RFC 7250]) instead of a
//! certificate; the dialler accepts any, and checks only that the server has the private key to it. No server name is sent,
//! and there are no tickets by which two connections of one endpoint could be told to belong together.
//!
//! [RFC 7250]: https://www.rfc-editor.org/rfc/rfc7250

use std::{io, sync::Arc};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring as provider, verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage},
    sign::CertifiedKey,
    version::TLS13,
};

/// The application protocol of both ends.
const ALPN: &[u8] = b"telemesh/1";

/// A name has to be given to dial; this one is not sent.
pub(crate) const SERVER_NAME: &str = "telemesh.invalid";

/// For dialling.
pub(crate) fn client() -> io::Result<QuicClientConfig> {
    let provider = Arc::new(provider::default_provider());
    let verifier = AnyKey { algorithms: provider.signature_verification_algorithms };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    QuicClientConfig::try_from(config).map_err(io::Error::other)
}

/// For listening, with a key pair made now.
pub(crate) fn server() -> io::Result<QuicServerConfig> {
    let provider = Arc::new(provider::default_provider());
    let key = new_key(&provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    QuicServerConfig::try_from(config).map_err(io::Error::other)
}

fn new_key(provider: &CryptoProvider) -> io::Result<CertifiedKey> {
    let no_key = |what: &'static str| move |_| io::Error::other(what);
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(no_key("the operating system gives no randomness"))?;
    let key = PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec());
    let key = provider.key_provider.load_private_key(key.into()).map_err(io::Error::other)?;
    let public = key.public_key().ok_or_else(|| io::Error::other("a key without its public half"))?;
    let shown = CertificateDer::from(public.as_ref().to_vec());
    Ok(CertifiedKey::new(vec![shown], key))
}

/// Accepts whatever key the server shows, if it has the private half.
#[derive(Debug)]
struct AnyKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // QUIC begins with TLS 1.3.
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
