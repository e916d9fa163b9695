//! Two users start an operation on one group at the two sites at the same instant. Everybody is a process of their own:
//! two users behind a jittered barrier, a `protector api` at each site. In full: `PROTECTOR_RACES=1000 cargo nextest run
//! --release --workspace -E 'test(two_users)' -P slow --no-capture`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use protector_demo::{protect, way::Ways};
use protector_server::Protector;
use protector_testkit::{
    ServiceProcess, TwoSites,
    race::{self, Outcome, Race, User},
    two_sites::SPEED,
};
use protector_types::{Clock as _, GroupDocument, GroupId};
use protector_workflow::SystemClock;

/// How long a group may be held by a claim that lost its operation, in real time: a lease lasts one second at this speed.
const FREE_AGAIN: Duration = Duration::from_secs(20);
/// How probable each kind of fault is for each message between the two Protectors.
const LOSS: f64 = 0.08;

/// After so many rounds users log in again: their tokens last an hour of the simulated time.
const TOKEN_ROUNDS: u64 = 100;

/// Two sites with their APIs as processes, and a user at each.
struct Arena {
    two: TwoSites,
    users: [User; 2],
    _apis: [ServiceProcess; 2],
    /// What the tests put right between two rounds.
    beside: [Protector; 2],
    id: GroupId,
    origin: GroupDocument,
}

impl Arena {
    async fn open(seed: u64) -> Self {
        let mut two = TwoSites::start(seed, SPEED).await.unwrap();
        let apis = [two.api(0).await.unwrap(), two.api(1).await.unwrap()];
        let users = [user(&two, 0).await, user(&two, 1).await];
        let beside = [two.beside(0).await.unwrap(), two.beside(1).await.unwrap()];
        let id: GroupId = two.protected.group_id.parse().unwrap();
        let origin = beside[0].core().group_document(id).await.unwrap();
        Self { two, users, _apis: apis, beside, id, origin }
    }

    /// The peer is some milliseconds away: who begins first takes turns.
    async fn round(&mut self, round: u64) -> [Outcome; 2] {
        if round % TOKEN_ROUNDS == TOKEN_ROUNDS - 1 {
            for at in 0..2 {
                self.two.tenants[at] = self.two.stage.tenant(at).await.unwrap().0;
                self.users[at] = user(&self.two, at).await;
            }
        }
        let late = [0, 1].map(|at| Duration::from_millis((round * 7 + at * 11) % 23));
        race::at_once(&mut self.users, late).await.unwrap()
    }

    /// No engine runs here: the winner's operation is taken off both sites again.
    async fn clear(&self, operation: &str, winner: usize) {
        let operation = operation.parse().unwrap();
        let version = self.two.group(winner).await.unwrap()["version"].as_u64().unwrap();
        for protector in &self.beside {
            let store = protector.core().store();
            store.end_overtaken(operation, "next round").await.unwrap();
            let mut document = self.origin.clone();
            document.group.version = version + 1;
            store.put_document(&document).await.unwrap();
        }
        for protector in &self.beside {
            protector.core().free_claim(self.id, operation).await.unwrap();
        }
    }
}

async fn user(two: &TwoSites, at: usize) -> User {
    let race = Race {
        url: format!("{}/action", two.group_url(at)),
        token: two.tenants[at].token().unwrap().to_owned(),
        body: protect::failover_body(),
    };
    User::start(&race).await.unwrap()
}

fn rounds(least: u64) -> u64 {
    std::env::var("PROTECTOR_RACES").ok().and_then(|n| n.parse().ok()).unwrap_or(least)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_users_who_start_at_both_sites_at_once_exactly_one_wins() {
    let rounds = rounds(12);
    let mut arena = Arena::open(17).await;
    let (mut wins, mut overlaps) = ([0u64; 2], 0u64);
    for round in 0..rounds {
        let outcomes = arena.round(round).await;
        overlaps += u64::from(outcomes[0].overlaps(&outcomes[1]));
        let won: Vec<usize> = (0..2).filter(|&at| outcomes[at].status == 202).collect();
        assert_eq!(won.len(), 1, "round {round}: {outcomes:?}");
        let winner = won[0];
        wins[winner] += 1;
        let operation = outcomes[winner].operation().unwrap();
        let loser = &outcomes[1 - winner];
        let (code, detail) = loser.refusal();
        assert_eq!((loser.status, code), (409, "protection_group.busy"), "round {round}: {detail}");
        assert!(detail.contains(operation), "round {round}: {detail} does not name {operation}");
        arena.clear(operation, winner).await;
    }
    let share = overlaps * 100 / rounds;
    println!("{rounds} rounds: site A won {}, site B {}; {share} % overlapped", wins[0], wins[1]);
    if rounds >= 1000 {
        assert!(wins.iter().all(|won| *won >= 50), "{wins:?}");
    }
    arena.two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_users_on_a_way_that_loses_messages_at_most_one_wins_and_nothing_is_stuck() {
    let rounds = rounds(12);
    let mut arena = Arena::open(19).await;
    let site_ids = arena.two.protected.site_ids.clone();
    let ways = Ways::lay(&arena.two.stage, &site_ids, 19).await.unwrap();
    let (mut wins, mut nobody) = ([0u64; 2], 0u64);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        ways.disturb(LOSS);
        let mut outcomes = arena.round(round).await;
        ways.heal();
        let real = SystemClock::new();
        let mut lost_all = true;
        let winner = loop {
            let won: Vec<usize> = (0..2).filter(|&at| outcomes[at].status == 202).collect();
            assert!(won.len() < 2, "round {round}: {outcomes:?}");
            for outcome in outcomes.iter().filter(|outcome| outcome.status != 202) {
                assert_eq!(outcome.status, 409, "round {round}: {outcome:?}");
            }
            if let Some(&winner) = won.first() {
                break winner;
            }
            nobody += u64::from(lost_all);
            lost_all = false;
            assert!(real.monotonic() < FREE_AGAIN, "round {round}: stuck: {outcomes:?}");
            outcomes = arena.round(round).await;
        };
        longest = longest.max(real.monotonic());
        wins[winner] += 1;
        arena.clear(outcomes[winner].operation().unwrap(), winner).await;
    }
    let faults = ways.injected();
    println!(
        "{rounds} rounds with {faults} messages lost or late: site A won {}, site B {}; nobody at once in {nobody}, \
         free again after at most {longest:.1?}",
        wins[0], wins[1]
    );
    assert!(faults > 0, "nothing was lost: this run proves nothing");
    arena.two.stop().await;
}
