//! The kill sweep: for n = 1, 2, ... a fresh world whose engine dies at the n-th point, until a run survives.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use tokio::task::JoinSet;

use crate::{CrashPoint, expect::Problems};

/// Environment variable that selects the points: `all`, `every:<k>`, or numbers as in `3,17,18`.
pub const SELECTION: &str = "PROTECTOR_KILL_SWEEP";
/// Environment variable with the number of worlds at the same time.
pub const PARALLEL: &str = "PROTECTOR_KILL_SWEEP_PARALLEL";
/// More failures than this say nothing new: no further world is begun.
const ENOUGH: usize = 12;

/// Which points are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Each, until a run survives.
    All,
    /// Each k-th, until a run survives.
    Every(u64),
    /// These.
    Only(Vec<u64>),
}

impl Selection {
    /// As [`SELECTION`] says; without it, each k-th.
    ///
    /// # Errors
    /// When it is set to something else than described there.
    pub fn from_env(k: u64) -> anyhow::Result<Self> {
        match std::env::var(SELECTION) {
            Ok(text) => Self::parse(&text),
            Err(_) => Ok(Self::Every(k.max(1))),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let bad = || {
            anyhow::anyhow!(
                "{SELECTION}={text}: expected `all`, `every:<k>` or numbers as in `3,17`"
            )
        };
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(k) = text.strip_prefix("every:") {
            return k.parse().ok().filter(|k| *k > 0).map(Self::Every).ok_or_else(bad);
        }
        let numbers: Option<Vec<u64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
        numbers.map(Self::Only).ok_or_else(bad)
    }

    fn points(&self) -> Box<dyn Iterator<Item = u64> + Send> {
        match self {
            Self::All => Box::new(1..),
            Self::Every(k) => Box::new((1..).step_by(usize::try_from(*k).unwrap_or(usize::MAX))),
            Self::Only(points) => Box::new(points.clone().into_iter()),
        }
    }
}

/// How one world's first engine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseEnd {
    /// It killed itself there.
    Killed(CrashPoint),
    /// The operation ended before the n-th point.
    Survived,
}

/// What the sweep found.
#[derive(Debug, Default)]
pub struct SweepReport {
    /// The points at which an engine died, by n.
    pub points: BTreeMap<u64, CrashPoint>,
    /// The first n that was survived.
    pub survived: Option<u64>,
    /// What was wrong, by n.
    pub problems: BTreeMap<u64, Problems>,
}

impl SweepReport {
    fn take(&mut self, n: u64, end: anyhow::Result<(CaseEnd, Problems)>) {
        let problems = match end {
            Ok((CaseEnd::Killed(point), problems)) => {
                self.points.insert(n, point);
                problems
            }
            Ok((CaseEnd::Survived, problems)) => {
                self.survived = Some(self.survived.map_or(n, |known| known.min(n)));
                problems
            }
            Err(error) => vec![format!("{error:#}")],
        };
        if !problems.is_empty() {
            self.problems.insert(n, problems);
        }
    }

    /// How many points of each kind, and how many subjects they had.
    pub fn by_kind(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut kinds: BTreeMap<&str, (usize, std::collections::BTreeSet<&str>)> = BTreeMap::new();
        for point in self.points.values() {
            let kind = kinds.entry(&point.kind).or_default();
            kind.0 += 1;
            kind.1.insert(&point.subject);
        }
        kinds
            .into_iter()
            .map(|(kind, (points, subjects))| (kind, (points, subjects.len())))
            .collect()
    }
}

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.problems.len() {
            0 => "all recovered".to_owned(),
            n => format!("{n} NOT recovered"),
        };
        writeln!(f, "kill sweep: {} points, {verdict}", self.points.len())?;
        writeln!(f, "  {:<24} {:>6} {:>9}", "point", "kills", "subjects")?;
        for (kind, (points, subjects)) in self.by_kind() {
            writeln!(f, "  {kind:<24} {points:>6} {subjects:>9}")?;
        }
        match self.survived {
            Some(n) => writeln!(f, "  a run survived at n = {n}")?,
            None => writeln!(f, "  no run survived (only chosen points were tried)")?,
        }
        for (n, problems) in &self.problems {
            let at = self
                .points
                .get(n)
                .map_or_else(|| "survived".into(), |p| format!("{} {}", p.kind, p.subject));
            writeln!(f, "  n = {n} ({at}):")?;
            problems.iter().try_for_each(|problem| writeln!(f, "    - {problem}"))?;
        }
        Ok(())
    }
}

/// Runs `case(n)` for each selected n, several at the same time, until one survives.
pub async fn sweep<F, R>(selection: &Selection, parallel: usize, case: F) -> SweepReport
where
    F: Fn(u64) -> R + Send + Sync + 'static,
    R: Future<Output = anyhow::Result<(CaseEnd, Problems)>> + Send + 'static,
{
    let case = Arc::new(case);
    let mut report = SweepReport::default();
    let mut points = selection.points();
    let mut running = JoinSet::new();
    loop {
        while running.len() < parallel.max(1)
            && report.survived.is_none()
            && report.problems.len() <= ENOUGH
        {
            let Some(n) = points.next() else { break };
            let case = case.clone();
            running.spawn(async move { (n, case(n).await) });
        }
        match running.join_next().await {
            Some(Ok((n, end))) => report.take(n, end),
            Some(Err(error)) => report.take(0, Err(anyhow::anyhow!("a case panicked: {error}"))),
            None => return report,
        }
    }
}

/// How many worlds at the same time: as [`PARALLEL`] says, or this many.
pub fn parallel(default: usize) -> usize {
    std::env::var(PARALLEL).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn killed(n: u64) -> CaseEnd {
        CaseEnd::Killed(CrashPoint {
            number: n,
            kind: "step.after_run".into(),
            subject: format!("s{}", n % 3),
        })
    }

    #[tokio::test]
    async fn it_goes_on_until_a_run_survives_and_counts_by_kind() {
        let report = sweep(&Selection::All, 3, |n| async move {
            Ok((if n <= 20 { killed(n) } else { CaseEnd::Survived }, Vec::new()))
        })
        .await;
        assert_eq!((report.points.len(), report.survived), (20, Some(21)));
        assert_eq!(report.by_kind()["step.after_run"], (20, 3));
        assert!(report.to_string().starts_with("kill sweep: 20 points, all recovered"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_and_many_failures_end_it() {
        let report = sweep(&Selection::All, 1, |n| async move {
            let problems = if n % 2 == 0 { vec!["two servers".into()] } else { Vec::new() };
            Ok((killed(n), problems))
        })
        .await;
        assert_eq!(report.problems.len(), ENOUGH + 1);
        assert!(report.to_string().contains("NOT recovered"));
    }

    #[test]
    fn selections() {
        assert_eq!(Selection::parse("all").unwrap(), Selection::All);
        assert_eq!(Selection::parse("every:7").unwrap(), Selection::Every(7));
        assert_eq!(Selection::parse("3, 17").unwrap(), Selection::Only(vec![3, 17]));
        assert!(Selection::parse("every:0").is_err());
        assert!(Selection::parse("some").is_err());
    }
}
