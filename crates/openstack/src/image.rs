//! Glance.

use async_trait::async_trait;
use protector_ports::{Image, PortResult};
use protector_types::Candidate;
use serde::Deserialize;

use crate::{
    rest::{Api, Page},
    tolerant::null_default,
};

/// Glance at one site, in one project.
pub struct Glance {
    api: Api,
}

impl Glance {
    pub(crate) fn new(api: Api) -> Self {
        Self { api }
    }
}

#[derive(Deserialize)]
struct ImagePage {
    images: Vec<ImageWire>,
    /// Path of the next page.
    next: Option<String>,
}

#[derive(Deserialize)]
struct ImageWire {
    id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
}

impl Page for ImagePage {
    type Item = ImageWire;

    fn split(self) -> (Vec<ImageWire>, bool) {
        let more = self.next.is_some();
        (self.images, more)
    }

    fn marker(item: &ImageWire) -> &str {
        &item.id
    }
}

#[async_trait]
impl Image for Glance {
    async fn images(&self) -> PortResult<Vec<Candidate>> {
        let images = self.api.list::<ImagePage>("/images?status=active", None).await?;
        Ok(images.into_iter().map(|image| Candidate { id: image.id, name: image.name }).collect())
    }
}
