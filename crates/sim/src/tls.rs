//! A certificate authority of our own, for arrays (real ones are HTTPS only) and, if wished, clouds.

use std::{net::IpAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate itself.
    #[error("the simulator could not make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The server's configuration.
    #[error("the simulator could not set up TLS: {0}")]
    Config(#[from] rustls::Error),
    /// Somebody else's certificate or key.
    #[error("the simulator could not read the certificate or its key: {0}; both must be PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
}

/// A server configuration from somebody else's certificate (chain) and key, HTTP/1.1 only.
pub fn server_config_from_pem(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let chain =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    server_config(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A certificate authority that lives as long as its world.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new authority with a new key.
    pub fn new() -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Protector simulator CA");
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The authority's certificate, for clients to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server configuration with a certificate for the names and addresses, HTTP/1.1 only.
    pub fn server_config(&self, names: &[&str], ip: IpAddr) -> Result<Arc<ServerConfig>, TlsError> {
        let mut subjects: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        for extra in ["localhost", "127.0.0.1", "::1"] {
            subjects.push(extra.to_owned());
        }
        if !ip.is_unspecified() && !ip.is_loopback() {
            subjects.push(ip.to_string());
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(subjects)?;
        params
            .distinguished_name
            .push(DnType::CommonName, names.first().copied().unwrap_or("localhost"));
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        server_config(vec![certificate.der().clone()], key)
    }
}
