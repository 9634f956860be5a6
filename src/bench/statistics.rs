//! The median and how well it is known.

/// The middle of the values, or the mean of the two in the middle; nothing for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + upper) / 2.0 } else { upper })
}

/// The confidence interval of the median, from the ranks of the values.
///
/// Of independent values each lies below the median with probability ½, however they are distributed. So the number of
/// those below is binomial, and the r-th smallest and the r-th largest value enclose the median with a probability of
/// `1 − 2·P(B(n, ½) < r)`. The largest r is taken for which that is at least `confidence`. Nothing if there is none: 95 %
/// needs six values. (J.-Y. Le Boudec, *Performance Evaluation of Computer and Communication Systems*, 2010, theorem
/// 2.1; recommended for timings by T. Hoefler and R. Belli, *Scientific Benchmarking of Parallel Computing Systems*, 2015.)
pub fn median_interval(values: &[f64], confidence: f64) -> Option<[f64; 2]> {
    let rank = rank(values.len(), confidence);
    let sorted = sorted(values);
    (rank > 0).then(|| [sorted[rank - 1], sorted[sorted.len() - rank]])
}

/// How much larger the values are at the end: the median of the last third by that of the first, less one. Nothing for
/// fewer than six values, of which a third says nothing.
pub fn drift(values: &[f64]) -> Option<f64> {
    let third = values.len() / 3;
    let (first, last) = (median(&values[..third])?, median(&values[values.len() - third..])?);
    (third >= 2 && first > 0.0).then(|| last / first - 1.0)
}

/// The largest r with `P(B(count, ½) < r) ≤ (1 − confidence) / 2`.
fn rank(count: usize, confidence: f64) -> usize {
    let tail = (1.0 - confidence) / 2.0;
    // Logarithms, because 2⁻ⁿ is zero from n = 1075 on.
    let mut logarithm = -(count as f64) * std::f64::consts::LN_2;
    let mut below = 0.0;
    for rank in 0..count {
        below += logarithm.exp();
        if below > tail {
            return rank;
        }
        logarithm += ((count - rank) as f64 / (rank + 1) as f64).ln();
    }
    0
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn drift_is_what_comes_between_the_thirds() {
        assert_eq!(drift(&[1.0, 1.0, 7.0, 0.0, 1.5, 1.5]), Some(0.5));
        assert_eq!(drift(&[2.0, 2.0, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0]), Some(-0.5), "thirds of eight are of two");
        assert_eq!(drift(&[3.0; 9]), Some(0.0));
        assert_eq!((drift(&[1.0; 5]), drift(&[]), drift(&[0.0; 6])), (None, None, None));
    }

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Le Boudec, table A.1; Conover, table A3.
        let known = [(5, 0), (6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (30, 10), (50, 18), (70, 27), (100, 40)];
        for (count, wanted) in known {
            assert_eq!(rank(count, 0.95), wanted, "{count} values");
        }
        assert_eq!((rank(7, 0.99), rank(8, 0.99), rank(0, 0.95)), (0, 1, 0));
        // n/2 − 0.98·√n, where no 2⁻ⁿ can be had any more.
        assert_eq!(rank(10_000, 0.95), 4902);
    }

    #[test]
    fn the_interval_is_of_the_values_whatever_their_order() {
        let values: Vec<f64> = [7, 3, 9, 1, 5, 8, 2, 6, 4].map(f64::from).to_vec();
        assert_eq!(median_interval(&values, 0.95), Some([2.0, 8.0]));
        assert_eq!(median_interval(&values[..5], 0.95), None);
        assert_eq!(median_interval(&values[..6], 0.95), Some([1.0, 9.0]));
    }

    #[test]
    fn it_holds_the_median_as_often_as_it_says() {
        let mut random = oorandom::Rand64::new(1);
        // Exponentially distributed: as skewed as timings are, with the median ln 2.
        let mut draw = || (0..20).map(|_| -(1.0 - random.rand_float()).ln()).collect::<Vec<_>>();
        let holds = |values: Vec<f64>| {
            let [low, high] = median_interval(&values, 0.95).unwrap();
            (low..=high).contains(&std::f64::consts::LN_2)
        };
        let held = (0..5000).filter(|_| holds(draw())).count() as f64 / 5000.0;
        // For 20 values exactly 0.9586; four standard deviations to either side.
        assert!((held - 0.9586).abs() < 0.012, "{held}");
    }
}
