//! The transport over real connections on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use protector_http::{
    MaxBody, SocketTransport, TlsOptions, Transport, TransportError, install_crypto_provider,
};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SOON: Duration = Duration::from_secs(5);

fn request(url: String) -> Request<Bytes> {
    Request::builder().method(Method::POST).uri(url).body(Bytes::from_static(b"{}")).unwrap()
}

fn plain() -> SocketTransport {
    SocketTransport::new(&TlsOptions::default()).unwrap()
}

/// Answers each request on each connection with `answer`; an empty one closes the connection.
async fn serve(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, SeqCst);
            tokio::spawn(talk(stream, answer));
        }
    });
    (url, accepted)
}

async fn talk(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, answer: &'static str) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 {
            return;
        }
        seen.extend_from_slice(&buffer[..n]);
        if seen.ends_with(b"\r\n\r\n{}") {
            if answer.is_empty() {
                return;
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nx-odd: 1\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            seen.clear();
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (url, accepted) = serve("{\"a\": 1}").await;
    let transport = plain();
    for _ in 0..3 {
        let answer = transport.send(request(url.clone()), SOON).await.unwrap();
        assert_eq!(answer.body().as_ref(), b"{\"a\": 1}");
        assert_eq!(answer.headers()["x-odd"], "1");
    }
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    drop(listener);
    let error = plain().send(request(url), SOON).await.unwrap_err();
    assert!(matches!(error, TransportError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_closes_before_the_answer_is_lost() {
    let (url, accepted) = serve("").await;
    let error = plain().send(request(url), SOON).await.unwrap_err();
    assert!(matches!(error, TransportError::Lost(_)), "{error:?}");
    assert_eq!(accepted.load(SeqCst), 1, "it is not for the transport to try again");
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let error = plain().send(request(url), Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, TransportError::Lost(_)), "{error:?}");
}

#[tokio::test]
async fn the_limit_of_the_answer_holds() {
    let (url, _) = serve("0123456789").await;
    let transport = plain();
    let mut over = request(url.clone());
    over.extensions_mut().insert(MaxBody(9));
    assert_eq!(
        transport.send(over, SOON).await.unwrap_err(),
        TransportError::TooLarge { limit: 9 }
    );
    let mut fits = request(url);
    fits.extensions_mut().insert(MaxBody(10));
    assert!(transport.send(fits, SOON).await.is_ok());
}

#[tokio::test]
async fn a_url_without_a_host_is_bad() {
    let error = plain().send(request("/x".into()), SOON).await.unwrap_err();
    assert!(matches!(error, TransportError::BadUrl(_)), "{error:?}");
}

struct TlsServer {
    url: String,
    ca_pem: String,
}

async fn serve_tls() -> TlsServer {
    serve_tls_as("localhost", rcgen::IsCa::NoCa).await
}

async fn serve_tls_as(name: &str, is_ca: rcgen::IsCa) -> TlsServer {
    install_crypto_provider();
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = is_ca;
    let cert = params.self_signed(&signing_key).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/x", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(stream, "{}").await;
                }
            });
        }
    });
    TlsServer { url, ca_pem: cert.pem() }
}

#[tokio::test]
async fn certificates_are_checked_against_the_given_authority() {
    let server = serve_tls().await;
    let other = serve_tls().await;
    let trusting =
        SocketTransport::new(&TlsOptions { ca_pem: Some(server.ca_pem), insecure: false }).unwrap();
    assert!(trusting.send(request(server.url), SOON).await.is_ok());
    let error = trusting.send(request(other.url.clone()), SOON).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls(_)), "{error:?}");
    let error = plain().send(request(other.url.clone()), SOON).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls(_)), "{error:?}");
    let careless = SocketTransport::new(&TlsOptions { ca_pem: None, insecure: true }).unwrap();
    assert!(careless.send(request(other.url), SOON).await.is_ok());
}

#[tokio::test]
async fn a_ca_without_certificates_is_refused_at_once() {
    for pem in ["", "not pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let options = TlsOptions { ca_pem: Some(pem.into()), insecure: false };
        assert!(SocketTransport::new(&options).is_err(), "{pem:?}");
    }
}

/// As `openssl req -x509` makes them.
#[tokio::test]
async fn a_self_signed_authority_is_trusted_only_as_itself_and_under_its_name() {
    let authority = || rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let server = serve_tls_as("localhost", authority()).await;
    let options = TlsOptions { ca_pem: Some(server.ca_pem), insecure: false };
    let trusting = SocketTransport::new(&options).unwrap();
    assert!(trusting.send(request(server.url), SOON).await.is_ok());

    let stranger = serve_tls_as("localhost", authority()).await;
    let error = trusting.send(request(stranger.url), SOON).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls(_)), "{error:?}");

    let misnamed = serve_tls_as("elsewhere.example", authority()).await;
    let options = TlsOptions { ca_pem: Some(misnamed.ca_pem), insecure: false };
    let trusting = SocketTransport::new(&options).unwrap();
    let error = trusting.send(request(misnamed.url), SOON).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls(_)), "{error:?}");
}
