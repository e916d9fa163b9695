//! The reference: what any correct planned failover must do, as a graph of its own (not the engine's plan), run by a
//! discrete-event greedy executor that has no overhead at all.
//!
//! Included, because nobody can leave it out: one look at both sites before the first effect; per server stop, one look
//! that sees it, lock, reading and removing its array connections; the group snapshot, its transfer, one look that sees
//! it; per volume the clone, manage, one look that sees it; per server its port (from the beginning on), create, its
//! turn among the builds (the cap, in the order in which creates arrive), the build, one look that sees it; one last
//! look at every source before the switch.
//!
//! Excluded, so it counts against us: logins and version negotiation, polling intervals, limits on calls at a time,
//! database, journal, planning, tags on clones, pushing to the peer, and all CPU time.
//!
//! Durations of stops, manages and builds are those that the simulator drew in the run that is compared (by
//! hash(seed, resource), read back by the resources' ids); calls are drawn here from the same ranges by
//! hash(seed, call of the server): what a call takes in the run depends on the engine's own bytes and order.
//! A look is sent at the very moment the work ends. All of that favours the reference.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use protector_sim::cloud::Profile;
use protector_types::{Rng, SplitMix};

/// One piece of work.
#[derive(Debug, Clone)]
pub struct Node {
    /// How long it takes once it has begun.
    pub takes: Duration,
    /// Indices of what must have ended before.
    pub after: Vec<usize>,
    /// Needs one of the build slots while it runs.
    pub builds: bool,
}

/// A graph; nodes refer to earlier ones only.
#[derive(Debug, Clone, Default)]
pub struct Graph(pub Vec<Node>);

impl Graph {
    fn add(&mut self, takes: Duration, after: &[usize]) -> usize {
        self.0.push(Node { takes, after: after.to_vec(), builds: false });
        self.0.len() - 1
    }

    /// When everything has ended: each node begins as soon as what it needs has ended; builds begin in the order in
    /// which they could, at most `slots` at once.
    pub fn makespan(&self, slots: usize) -> Duration {
        let mut waits: Vec<usize> = self.0.iter().map(|n| n.after.len()).collect();
        let mut dependents = vec![Vec::new(); self.0.len()];
        for (index, node) in self.0.iter().enumerate() {
            for &earlier in &node.after {
                dependents[earlier].push(index);
            }
        }
        let mut queue: VecDeque<usize> = VecDeque::new();
        let mut free = slots.max(1);
        // (end, index); a ready node that needs no slot is in here at once.
        let mut running = BinaryHeap::new();
        let mut ready: Vec<usize> = (0..self.0.len()).filter(|&i| waits[i] == 0).collect();
        let mut now = Duration::ZERO;
        loop {
            for index in ready.drain(..) {
                if self.0[index].builds {
                    queue.push_back(index);
                } else {
                    running.push(Reverse((now + self.0[index].takes, index)));
                }
            }
            while free > 0
                && let Some(index) = queue.pop_front()
            {
                free -= 1;
                running.push(Reverse((now + self.0[index].takes, index)));
            }
            let Some(Reverse((end, index))) = running.pop() else { return now };
            now = end;
            free += usize::from(self.0[index].builds);
            for &dependent in &dependents[index] {
                waits[dependent] -= 1;
                if waits[dependent] == 0 {
                    ready.push(dependent);
                }
            }
        }
    }

    /// The longest path: no executor is faster, however many builds run at once.
    pub fn critical_path(&self) -> Duration {
        self.makespan(self.0.len())
    }
}

/// What the simulator drew for one server.
#[derive(Debug, Clone)]
pub struct ServerDraws {
    /// Its name: key of its calls.
    pub name: String,
    /// The stop at the source.
    pub stop: Duration,
    /// The manage of each volume.
    pub manages: Vec<Duration>,
    /// The build at the target.
    pub build: Duration,
}

/// Ranges of calls, and the transfer.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Seed of the run.
    pub seed: u64,
    /// The clouds'.
    pub profile: Profile,
    /// Milliseconds of an array call.
    pub array_call_ms: (u64, u64),
    /// The final transfer.
    pub transfer: Duration,
}

impl Pace {
    fn draw(&self, key: &str, (low, high): (u64, u64)) -> Duration {
        let span = high.saturating_sub(low) + 1;
        let key = format!("reference/{key}");
        Duration::from_millis(low + SplitMix::keyed(self.seed, &key).next_u64() % span)
    }

    fn call(&self, key: &str) -> Duration {
        self.draw(key, self.profile.call_ms)
    }

    fn array(&self, key: &str) -> Duration {
        self.draw(key, self.array_call_ms)
    }
}

/// The graph of a planned failover of these servers.
pub fn planned_failover(pace: &Pace, servers: &[ServerDraws]) -> Graph {
    let mut graph = Graph::default();
    let look = pace.call("look/a").max(pace.call("look/b")).max(pace.array("look"));
    let look = graph.add(look, &[]);
    let fences: Vec<usize> = servers.iter().map(|s| fence(&mut graph, pace, s, look)).collect();
    let snapshot = graph.add(pace.array("snapshot"), &fences);
    let sent = graph.add(pace.transfer, &[snapshot]);
    let point = graph.add(pace.array("point"), &[sent]);
    let up: Vec<usize> =
        servers.iter().map(|s| recover(&mut graph, pace, s, look, point)).collect();
    for server in servers {
        let (name, volumes) = (&server.name, 0..server.manages.len());
        let reads = volumes.map(|v| pace.array(&format!("verify/{name}/{v}")));
        let takes = reads.max().unwrap_or_default().max(pace.call(&format!("verify/{name}")));
        graph.add(takes, &up);
    }
    graph
}

/// Stop, seen to be stopped, locked, connections read and removed.
fn fence(graph: &mut Graph, pace: &Pace, server: &ServerDraws, look: usize) -> usize {
    let name = &server.name;
    let all_volumes = |what: &str| {
        let calls = (0..server.manages.len()).map(|v| pace.array(&format!("{what}/{name}/{v}")));
        calls.max().unwrap_or_default()
    };
    let asked = graph.add(pace.call(&format!("stop/{name}")), &[look]);
    let stopped = graph.add(server.stop, &[asked]);
    let seen = graph.add(pace.call(&format!("stopped/{name}")), &[stopped]);
    let locked = graph.add(pace.call(&format!("lock/{name}")), &[seen]);
    let read = graph.add(all_volumes("connections"), &[locked]);
    graph.add(all_volumes("disconnect"), &[read])
}

/// Clones, manages, port, server.
fn recover(
    graph: &mut Graph,
    pace: &Pace,
    server: &ServerDraws,
    look: usize,
    point: usize,
) -> usize {
    let name = &server.name;
    let mut needs = vec![graph.add(pace.call(&format!("port/{name}")), &[look])];
    for (v, manage) in server.manages.iter().enumerate() {
        let clone = graph.add(pace.array(&format!("clone/{name}/{v}")), &[point]);
        let asked = graph.add(pace.call(&format!("manage/{name}/{v}")), &[clone]);
        let managed = graph.add(*manage, &[asked]);
        needs.push(graph.add(pace.call(&format!("managed/{name}/{v}")), &[managed]));
    }
    let create = graph.add(pace.call(&format!("create/{name}")), &needs);
    let build = graph.add(server.build, &[create]);
    graph.0[build].builds = true;
    graph.add(pace.call(&format!("active/{name}")), &[build])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(graph: &mut Graph, secs: u64, after: &[usize]) -> usize {
        let index = graph.add(Duration::from_secs(secs), after);
        graph.0[index].builds = true;
        index
    }

    #[test]
    fn builds_wait_for_a_slot_in_the_order_of_arrival() {
        let mut graph = Graph::default();
        let late = graph.add(Duration::from_secs(1), &[]);
        build(&mut graph, 10, &[late]);
        build(&mut graph, 4, &[]);
        build(&mut graph, 6, &[]);
        // 4 and 6 begin at 0; 10 arrives at 1 and begins at 4.
        assert_eq!(graph.makespan(2), Duration::from_secs(14));
        assert_eq!(graph.makespan(1), Duration::from_secs(20));
        assert_eq!(graph.critical_path(), Duration::from_secs(11));
    }

    #[test]
    fn the_chain_of_one_server_is_the_sum_of_its_parts() {
        let profile = Profile { call_ms: (100, 100), builds_at_once: 20, ..Profile::default() };
        let pace =
            Pace { seed: 1, profile, array_call_ms: (50, 50), transfer: Duration::from_secs(5) };
        let secs = Duration::from_secs;
        let server =
            ServerDraws { name: "a".into(), stop: secs(3), manages: vec![secs(4)], build: secs(9) };
        let graph = planned_failover(&pace, &[server]);
        // Calls: look, stop, stopped, lock, manage, managed, create, active, verify; array: connections, disconnect,
        // snapshot, point, clone.
        let calls = Duration::from_millis(9 * 100 + 5 * 50);
        assert_eq!(graph.makespan(20), secs(3 + 5 + 4 + 9) + calls);
        assert_eq!(graph.critical_path(), graph.makespan(20));
    }
}
