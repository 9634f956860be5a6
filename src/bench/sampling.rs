//! How often something is timed, and when it has been timed enough.

use std::ops::ControlFlow;
use std::time::Duration;

use web_time::Instant;

use super::Settings;
use super::statistics::{median, median_interval};
use crate::Result;

/// Runs in one sample at most, whatever the clock says.
const MOST_REPEATS: usize = 1 << 20;
/// Samples at most: more would only make the record long.
const MOST_SAMPLES: usize = 1000;

/// Things that are sampled in turn are known well enough with intervals this narrow, relative to their medians.
const RATIO_BOUND: f64 = 0.01;

/// What sampling gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Runs in every sample.
    pub repeats: usize,
    /// Milliseconds of one run, the mean of a sample's, in the order of measuring.
    pub samples_ms: Vec<f64>,
}

/// Times things until they are known well enough or the budget is spent; `timed` runs one of them, given by its index, so
/// many times and says how long that took, `proceed` is asked after each sample.
///
/// The number of runs is doubled until they take as long as a sample should, which warms up as well, and goes on until
/// the warm-up is over. Then there are samples until the interval is as narrow as the settings want or the time is up;
/// but always as many as an interval needs.
///
/// Several things are sampled in turn, so that what changes meanwhile changes for all of them, and until they are known as
/// well as their ratio should be. As one takes the caches from the others, a run that is not counted comes before each sample.
///
/// # Errors
/// Those of `timed`.
pub async fn sample(
    settings: &Settings,
    count: usize,
    mut timed: impl AsyncFnMut(usize, usize) -> Result<Duration>,
    mut proceed: impl FnMut() -> ControlFlow<()>,
) -> Result<ControlFlow<(), Vec<Samples>>> {
    let bound = settings.relative_bound.min(if count > 1 { RATIO_BOUND } else { f64::INFINITY });
    let mut all = vec![];
    let mut spent_ms = 0.0;
    for which in 0..count {
        let mut warm_up_ms = 0.0;
        let mut repeats = 1;
        loop {
            let elapsed_ms = milliseconds(timed(which, repeats).await?);
            warm_up_ms += elapsed_ms;
            if proceed().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let long_enough = elapsed_ms >= settings.min_sample_ms || repeats >= MOST_REPEATS;
            if long_enough && warm_up_ms >= settings.warm_up_ms {
                break;
            }
            if !long_enough {
                repeats *= 2;
            }
        }
        spent_ms += warm_up_ms;
        all.push(Samples { repeats, samples_ms: vec![] });
    }
    loop {
        for (which, Samples { repeats, samples_ms }) in all.iter_mut().enumerate() {
            if count > 1 {
                spent_ms += milliseconds(timed(which, 1).await?);
            }
            let elapsed_ms = milliseconds(timed(which, *repeats).await?);
            spent_ms += elapsed_ms;
            samples_ms.push(rounded(elapsed_ms / *repeats as f64));
            if proceed().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let within = |samples: &Samples| relative_width(&samples.samples_ms, settings.confidence);
        let Some(widths) = all.iter().map(within).collect::<Option<Vec<f64>>>() else { continue };
        let is_spent = spent_ms >= settings.budget_ms * count as f64;
        let is_known = widths.iter().all(|&width| width <= bound);
        if is_known || is_spent || all.iter().any(|samples| samples.samples_ms.len() >= MOST_SAMPLES) {
            return Ok(ControlFlow::Continue(all));
        }
    }
}

/// How far the farther end of the interval is from the median, relative to it; nothing where there is no interval yet.
fn relative_width(samples: &[f64], confidence: f64) -> Option<f64> {
    let ([low, high], median) = (median_interval(samples, confidence)?, median(samples)?);
    Some(if median > 0.0 { (median - low).max(high - median) / median } else { 0.0 })
}

/// The smallest step of the clock that was seen, in milliseconds: browsers make it coarse on purpose.
pub fn timer_resolution_ms() -> f64 {
    const STEPS: usize = 10;
    const PATIENCE_MS: f64 = 250.0;
    let start = Instant::now();
    let (mut last, mut smallest, mut steps) = (start, f64::INFINITY, 0);
    while steps < STEPS && milliseconds(last - start) < PATIENCE_MS {
        let now = Instant::now();
        if now > last {
            smallest = smallest.min(milliseconds(now - last));
            (last, steps) = (now, steps + 1);
        }
    }
    rounded(smallest)
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Milliseconds since then.
pub fn elapsed_ms(start: Instant) -> f64 {
    rounded(milliseconds(start.elapsed()))
}

/// To the nanosecond: no clock knows more.
pub fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(budget_ms: f64) -> Settings {
        Settings { budget_ms, warm_up_ms: 0.0, min_sample_ms: 10.0, ..Settings::new(vec![], "", Duration::ZERO, 1e-6) }
    }

    /// Samples something of which the n-th call takes `run(n)` milliseconds per run.
    fn samples(settings: &Settings, run: impl Fn(usize) -> f64, stop_after: usize) -> ControlFlow<(), Samples> {
        let (mut calls, mut asked) = (0, 0);
        let timed = async |_: usize, repeats: usize| {
            calls += 1;
            Ok(Duration::from_secs_f64(run(calls) * repeats as f64 / 1e3))
        };
        let proceed = || {
            asked += 1;
            if asked == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        pollster::block_on(sample(settings, 1, timed, proceed)).unwrap().map_continue(|all| all[0].clone())
    }

    fn all(settings: &Settings, run: impl Fn(usize) -> f64) -> Samples {
        match samples(settings, run, usize::MAX) {
            ControlFlow::Continue(samples) => samples,
            ControlFlow::Break(()) => panic!("nobody stopped it"),
        }
    }

    #[test]
    fn short_runs_are_put_together() {
        let Samples { repeats, samples_ms } = all(&settings(1e4), |_| 0.3);
        assert_eq!(repeats, 64, "32 take 9.6 ms");
        assert_eq!(samples_ms, [0.3; 6], "equal ones need no more than an interval does");
        assert_eq!(all(&settings(1e4), |_| 25.0).repeats, 1);
    }

    #[test]
    fn scattered_samples_go_on_until_they_are_narrow_or_the_budget_ends() {
        // ±2 % is narrow enough with six, ±20 % is not.
        let scatter = |width: f64| move |call: usize| 20.0 * (1.0 + width * [1.0, -1.0, 0.5, -0.5, 0.0][call % 5]);
        assert_eq!(all(&settings(1e4), scatter(0.02)).samples_ms.len(), 6);
        let many = all(&settings(1e6), scatter(0.2)).samples_ms;
        assert!(many.len() > 6 && many.len() < MOST_SAMPLES, "{}", many.len());
        assert!(relative_width(&many, 0.95).unwrap() <= 0.05 || many.len() == MOST_SAMPLES);
        let few = all(&settings(200.0), scatter(0.2)).samples_ms.len();
        assert!((6..=11).contains(&few), "{few} samples of about 20 ms in 200");
        assert_eq!(all(&settings(0.0), scatter(0.2)).samples_ms.len(), 6, "an interval needs them");
    }

    #[test]
    fn warming_up_is_not_counted() {
        let cold = |call: usize| if call <= 4 { 100.0 } else { 20.0 };
        let warm = Settings { warm_up_ms: 400.0, ..settings(1e4) };
        assert_eq!(all(&warm, cold).samples_ms, [20.0; 6]);
    }

    #[test]
    fn several_things_take_turns() {
        let mut calls = vec![];
        let timed = async |which: usize, repeats: usize| {
            calls.push((which, repeats));
            Ok(Duration::from_secs_f64([6.0, 20.0][which] * repeats as f64 / 1e3))
        };
        let all = pollster::block_on(sample(&settings(1e4), 2, timed, || ControlFlow::Continue(()))).unwrap();
        let ControlFlow::Continue(all) = all else { panic!("nobody stopped it") };
        assert_eq!(all[0], Samples { repeats: 2, samples_ms: vec![6.0; 6] });
        assert_eq!(all[1], Samples { repeats: 1, samples_ms: vec![20.0; 6] });
        // One after the other is warmed up; then a run that is not counted comes before every sample.
        assert_eq!(calls[..3], [(0, 1), (0, 2), (1, 1)]);
        assert_eq!(calls[3..], [(0, 1), (0, 2), (1, 1), (1, 1)].repeat(6));
    }

    #[test]
    fn a_ratio_needs_narrower_intervals() {
        let mut call = 0;
        let timed = async |_: usize, repeats: usize| {
            call += 1;
            Ok(Duration::from_secs_f64(
                20.0 * (1.0 + 0.03 * [1.0, -1.0, 0.5, -0.5, 0.0][call / 4 % 5]) * repeats as f64 / 1e3,
            ))
        };
        let all = pollster::block_on(sample(&settings(1e6), 2, timed, || ControlFlow::Continue(()))).unwrap();
        let ControlFlow::Continue(all) = all else { panic!("nobody stopped it") };
        assert!(all.iter().all(|samples| samples.samples_ms.len() > 6), "six are enough for 5 %, not for 1 %");
    }

    #[test]
    fn it_can_be_stopped_after_any_sample() {
        for after in 1..8 {
            assert!(samples(&settings(1e4), |_| 20.0, after).is_break(), "{after}");
        }
        assert!(samples(&settings(1e4), |_| 20.0, 9).is_continue());
    }

    #[test]
    fn a_clock_that_stands_still_ends_too() {
        assert_eq!(all(&settings(1e4), |_| 0.0).repeats, MOST_REPEATS);
    }

    #[test]
    fn the_clock_has_a_resolution() {
        let resolution = timer_resolution_ms();
        assert!(resolution > 0.0 && resolution < 250.0, "{resolution}");
    }
}
