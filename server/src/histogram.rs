use lr_protocol::HistogramBucket;

/// A value that a part of `q` of the values are at most, between the bounds of its bucket as if
/// the bucket were evenly filled: what `lr_quantile` computes of what is stored.
pub(crate) fn quantile(buckets: &[HistogramBucket], q: f64) -> Option<f64> {
    let mut buckets: Vec<&HistogramBucket> = buckets.iter().filter(|b| b.n > 0).collect();
    buckets.sort_by(|a, b| a.lo.total_cmp(&b.lo));
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rank within a bucket is an estimate"
    )]
    let number = |n: u64| n as f64;
    let total: f64 = buckets.iter().map(|bucket| number(bucket.n)).sum();
    let rank = q * total;
    let mut before = 0.0;
    for bucket in &buckets {
        let n = number(bucket.n);
        if before + n >= rank {
            let width = bucket.hi - bucket.lo;
            let share = (rank - before).max(0.0) / n;
            return Some(match width.is_finite() {
                true => bucket.lo + width * share,
                false => bucket.lo,
            });
        }
        before += n;
    }
    // Only rounding leads here.
    buckets.last().map(|bucket| bucket.hi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(quantile(&[], 0.5), None);
        let empty = HistogramBucket {
            lo: 1.0,
            hi: 2.0,
            n: 0,
        };
        assert_eq!(quantile(&[empty], 0.5), None);
    }

    #[test]
    fn a_bucket_without_an_end_is_its_beginning() {
        let open = HistogramBucket {
            lo: 1.0,
            hi: f64::INFINITY,
            n: 1,
        };
        assert_eq!(quantile(&[open], 0.99), Some(1.0));
    }
}
