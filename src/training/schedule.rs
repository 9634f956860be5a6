//! How the learning rate changes.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate changes while training goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Up from 0 over the first twentieth, along a line, and then down to 0 along half a cosine.
    #[default]
    Cosine,
    /// A tenth of it from the middle on, and a hundredth for the last quarter.
    Step,
    /// From a 25th up to the rate over the first 30 %, and down to nothing, both along a cosine: as PyTorch's `OneCycleLR`, which changes
    /// the momentum besides.
    OneCycle,
}

impl Schedule {
    /// By what the rate is multiplied when `done` of all is done, in 0…1.
    pub fn factor(self, done: f64) -> f64 {
        /// From 1 to 0 along a cosine.
        fn cosine(done: f64) -> f64 {
            (1.0 + (PI * done).cos()) / 2.0
        }
        // Before statistics and moments mean anything, steps are to be small.
        const WARM_UP: f64 = 0.05;
        const RISE: f64 = 0.3;
        const START: f64 = 1.0 / 25.0;
        const END: f64 = START / 1e4;
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine if done < WARM_UP => done / WARM_UP,
            Schedule::Cosine => cosine((done - WARM_UP) / (1.0 - WARM_UP)),
            Schedule::Step if done < 0.5 => 1.0,
            Schedule::Step if done < 0.75 => 0.1,
            Schedule::Step => 0.01,
            Schedule::OneCycle if done < RISE => START + (1.0 - START) * (1.0 - cosine(done / RISE)),
            Schedule::OneCycle => END + (1.0 - END) * cosine((done - RISE) / (1.0 - RISE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn rates_rise_and_fall() {
        let at = |schedule: Schedule, done: f64| (schedule.factor(done) * 1e6).round() / 1e6;
        assert_eq!([0.0, 0.025, 0.05, 0.525, 1.0].map(|done| at(Schedule::Cosine, done)), [0.0, 0.5, 1.0, 0.5, 0.0]);
        assert_eq!([0.0, 0.49, 0.5, 0.75, 1.0].map(|done| at(Schedule::Step, done)), [1.0, 1.0, 0.1, 0.01, 0.01]);
        assert_eq!(
            [0.0, 0.15, 0.3, 0.65, 1.0].map(|done| at(Schedule::OneCycle, done)),
            [0.04, 0.52, 1.0, 0.500002, 4e-6]
        );
        assert_eq!(at(Schedule::Constant, 0.7), 1.0);
    }
}
