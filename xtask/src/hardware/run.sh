#!/bin/sh
# Runs everything that is to be known of a GPU, and leaves its records in records-<host>-<date>/.
#
#   ./run.sh [--adapter NAME] [--minutes N] [--limit SECONDS]
#
# --adapter  a part of the adapter's name; without it, the first GPU that is hardware
# --minutes  when to stop beginning steps (10)
# --limit    the most seconds of any step, if fewer than it has by itself
#
# A step that fails or takes too long does not stop the others: summary.txt says what came of each, and each has a log.

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 1
cd "$here" || exit 1
minutes=10
most=100000
unset DOCONV_ADAPTER
while [ $# -gt 0 ]; do
    case $1 in
        --adapter) DOCONV_ADAPTER=$2; export DOCONV_ADAPTER; shift 2 ;;
        --minutes) minutes=$2; shift 2 ;;
        --limit) most=$2; shift 2 ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

doconv="$here/doconv"
records="$here/records-$(uname -n)-$(date +%Y%m%d-%H%M%S)"
mkdir "$records" || exit 1
summary="$records/summary.txt"
# Nothing is taken from earlier runs, nor left for others.
DOCONV_CACHE="$records/cache"
export DOCONV_CACHE
begun=$(date +%s)
end=$((begun + 60 * minutes))
number=0

note() {
    printf '%s\n' "$*" | tee -a "$summary"
}

# step SECONDS NAME COMMAND...: what it prints comes to NN-NAME.log.
step() {
    seconds=$1
    name=$2
    shift 2
    number=$((number + 1))
    log=$(printf '%s/%02d-%s.log' "$records" "$number" "$name")
    start=$(date +%s)
    [ "$seconds" -gt "$most" ] && seconds=$most
    left=$((end - start))
    if [ "$left" -le 0 ]; then
        note "$(printf '%-34s skipped: out of time' "$name")"
        return 1
    fi
    [ "$seconds" -gt "$left" ] && seconds=$left
    printf '%s\n' "$*" >"$log"
    timeout --signal=TERM --kill-after=5 "$seconds" "$@" >>"$log" 2>&1
    status=$?
    took=$(($(date +%s) - start))
    case $status in
        0) verdict=ok ;;
        124 | 137 | 143) verdict="out of time after $seconds s" ;;
        *) verdict="FAILED with status $status: $(tail -n 1 "$log" | cut -c 1-200)" ;;
    esac
    note "$(printf '%-34s %4d s  %s' "$name" "$took" "$verdict")"
    return "$status"
}

note "doconv on $(uname -n), $(uname -srm), $(date)"
[ -n "$DOCONV_ADAPTER" ] && note "adapter: $DOCONV_ADAPTER"
command -v nvidia-smi >/dev/null && step 20 nvidia-smi nvidia-smi
command -v lscpu >/dev/null && step 10 lscpu lscpu
if ! step 30 adapters "$doconv" adapters; then
    note "the program does not start here: see the log, and README for what it needs"
fi
step 30 adapters-json sh -c "'$doconv' adapters --json >'$records/adapters.json'"

step 240 verify "$doconv" verify --output "$records/verify.json"

# Which precisions there are.
precisions=f32
for precision in f16-storage f16; do
    "$doconv" bench --suite layers --filter dw3x3-384 --budget 0.001 --precision "$precision" >/dev/null 2>&1 \
        && precisions="$precisions $precision"
done
note "precisions: $precisions"

# bench NAME SECONDS ARGUMENTS...
bench() {
    name=$1
    seconds=$2
    shift 2
    step "$seconds" "bench-$name" "$doconv" bench --output "$records/bench-$name.json" "$@"
}
step_suite() {
    [ -x "suites/$1" ] && step 45 "suite-$1" "suites/$1" --test-threads 4
}

bench peak 30 --suite peak --budget 0.3
for precision in $precisions; do
    bench "layers-$precision" 30 --suite layers --budget 0.2 --precision "$precision"
    for arch in resnet18 resnet50 mobilenet_v2; do
        for batch in 1 32; do
            bench "$arch-$batch-$precision" 30 --suite networks --arch "$arch" --batch "$batch" --mode folded \
                --budget 0.5 --precision "$precision"
        done
    done
done
bench bundled-modes 30 --suite networks --budget 0.3
bench fold 40 --suite fold --budget 0.1

step 60 train "$doconv" train --arch resnet20 --data data --batch 128 --epochs 3 --json \
    --log "$records/train.jsonl" --out "$records/trained.safetensors"
rm -f "$records"/trained*.safetensors

for suite in operators adapters winograd precision self_check; do
    step_suite "$suite"
done

for precision in $precisions; do
    bench "layers-tuned-$precision" 90 --suite layers --budget 0.2 --tune full --precision "$precision"
    for arch in resnet18 resnet50 mobilenet_v2; do
        bench "$arch-tuned-$precision" 60 --suite networks --arch "$arch" --mode folded --budget 0.5 --tune full \
            --precision "$precision"
    done
done

rm -rf "$records/cache/"*pipelines*
note "$(($(date +%s) - begun)) s altogether"
tar -czf "$records.tar.gz" -C "$here" "$(basename "$records")" && note "records: $records.tar.gz"
grep -q 'FAILED\|out of time' "$summary" && exit 1
exit 0
