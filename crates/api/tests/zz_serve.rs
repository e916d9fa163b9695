#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, dead_code)]
#[path = "api/fake.rs"] mod fake;
#[path = "api/support.rs"] mod support;
#[tokio::test]
async fn serve() {
    let api = support::Api::new();
    let l = tokio::net::TcpListener::bind("127.0.0.1:18788").await.unwrap();
    axum::serve(l, api.router).await.unwrap();
}
