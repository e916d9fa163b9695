//! The way to the simulated sites, in process, with faults at single requests. Each request is known by the step that
//! makes it: its calls run inside [`as_caller`].

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use protector_http::{RouterTransport, Transport, TransportError};
use protector_sim::{
    faults::{Effect, Rule},
    world::World,
};

use super::{
    faults::{Class, Phase, WireFault},
    gremlin::Gremlin,
};

tokio::task_local! {
    static CALLER: (String, Phase);
}

/// Runs `work` as this part of this step.
pub async fn as_caller<F: Future>(step: &str, phase: Phase, work: F) -> F::Output {
    CALLER.scope((step.to_owned(), phase), work).await
}

/// The transport of all engines of a play.
pub struct Wire {
    inner: Arc<RouterTransport>,
    world: Arc<World>,
    gremlin: Arc<Gremlin>,
}

impl Wire {
    /// To both clouds and both arrays of a world.
    pub fn new(world: Arc<World>, gremlin: Arc<Gremlin>) -> Self {
        let transport = RouterTransport::new(gremlin.clock.clone());
        for site in world.sites() {
            transport.route(format!("{}.sim", site.cloud.name), site.cloud.router());
            transport.route(format!("{}.sim", site.array.name()), site.array_router());
        }
        Self { inner: Arc::new(transport), world, gremlin }
    }

    fn lands_later(&self, request: Request<Bytes>, after: Duration) {
        self.gremlin.will_land(after);
        let (inner, gremlin) = (self.inner.clone(), self.gremlin.clone());
        let sleep = gremlin.clock.sleep(after);
        tokio::spawn(async move {
            sleep.await;
            gremlin.say(|| format!("{} {} lands now", request.method(), request.uri()));
            // Nobody waits for its answer.
            let _ = inner.send(request, Duration::from_secs(60)).await;
        });
    }

    /// The service's own words come from the simulator.
    fn plan_status(&self, request: &Request<Bytes>, code: u16) {
        let host = request.uri().host().unwrap_or_default();
        let site = host.strip_suffix(".sim").unwrap_or(host);
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
        let retry_after = (code == 429 || code == 503).then_some(1);
        let effect = Effect::Status { code, message: None, retry_after };
        let rule = Rule::new(effect).site(site).method(request.method().as_str()).path(path);
        self.world.faults().add(rule.times(1));
    }

    async fn faulty(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
        fault: WireFault,
    ) -> Result<Response<Bytes>, TransportError> {
        let lost = || Err(TransportError::Lost("planned: no answer".into()));
        let who = format!("{} {}", request.method(), request.uri().path());
        self.gremlin.say(|| format!("{who}: {fault:?}"));
        match fault {
            WireFault::Refuse => Err(TransportError::Refused("planned: refused".into())),
            WireFault::LostBefore => lost(),
            WireFault::LostAfter => {
                // Whatever it answered is lost.
                let _ = self.inner.send(request, deadline).await;
                lost()
            }
            WireFault::LandsLater(after) => {
                self.lands_later(request, after);
                lost()
            }
            WireFault::Status(code) => {
                self.plan_status(&request, code);
                self.inner.send(request, deadline).await
            }
            WireFault::CrashBefore => self.gremlin.die(&who).await,
            WireFault::CrashAfter => {
                // As above.
                let _ = self.inner.send(request, deadline).await;
                self.gremlin.die(&who).await
            }
            WireFault::CrashLandsLater(after) => {
                self.lands_later(request, after);
                self.gremlin.die(&who).await
            }
        }
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let Ok((step, phase)) = CALLER.try_with(Clone::clone) else {
            return self.inner.send(request, deadline).await;
        };
        let class = class(&request);
        let pattern = pattern(request.method(), request.uri().path());
        if phase == Phase::Find && class == Class::Effect && !may_look_with(&pattern) {
            self.gremlin.wrong(format!("the look of {step} changes something: {pattern}"));
        }
        self.gremlin.say(|| format!("{step} {phase:?}: {} {}", request.method(), request.uri()));
        match self.gremlin.request(&step, phase, class, pattern) {
            None => {
                let uri = request.uri().clone();
                let answer = self.inner.send(request, deadline).await;
                self.gremlin.say(|| match &answer {
                    Ok(answer) if answer.status().is_success() => {
                        format!("{step} {phase:?}: {} <- {uri}", answer.status())
                    }
                    Ok(answer) => format!(
                        "{step} {phase:?}: {} <- {uri}: {}",
                        answer.status(),
                        String::from_utf8_lossy(answer.body())
                    ),
                    Err(error) => format!("{step} {phase:?}: {error} <- {uri}"),
                });
                answer
            }
            Some(fault) => self.faulty(request, deadline, fault).await,
        }
    }
}

/// Requests of looks that change nothing that matters, though their method could: a tag that is set anew.
fn may_look_with(pattern: &str) -> bool {
    pattern.ends_with("/volumes/tags/batch")
}

fn class(request: &Request<Bytes>) -> Class {
    let path = request.uri().path();
    if path.ends_with("/auth/tokens") || path.ends_with("/login") {
        Class::Login
    } else if matches!(*request.method(), Method::GET | Method::HEAD) {
        Class::Read
    } else {
        Class::Effect
    }
}

/// Method and path, with `{}` for every part that holds a digit but is no version: ids and generated names.
fn pattern(method: &Method, path: &str) -> String {
    let version = |part: &str| {
        let number = part.strip_prefix('v').unwrap_or(part);
        number.len() <= 4 && number.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let parts: Vec<&str> = path
        .split('/')
        .map(|part| {
            let generated = part.len() > 20 || part.contains(|c: char| c.is_ascii_digit());
            if generated && !version(part) { "{}" } else { part }
        })
        .collect();
    format!("{method} {}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_keep_versions_and_drop_ids() {
        let path = "/compute/v2.1/servers/5a0b6c1e-8f0a-4b6e-9d52-7e0f2a6a1c11/action";
        assert_eq!(pattern(&Method::POST, path), "POST /compute/v2.1/servers/{}/action");
        assert_eq!(pattern(&Method::GET, "/api/2.26/volumes"), "GET /api/2.26/volumes");
    }
}
