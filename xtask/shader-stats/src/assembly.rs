//! What the assembly of a shader says of the loop in which it multiplies most.
//!
//! The driver prints basic blocks one after the other, each below its label, and branches to labels. A branch backwards closes a
//! loop.

use std::ops::RangeInclusive;

/// Of that loop.
#[derive(Debug, Default, PartialEq)]
pub struct MainLoop {
    /// Share of instructions that multiply and add, in per cent.
    pub multiply_adds: u32,
    /// Loads from buffers that were issued before its longest stretch of multiply-adds, and that are waited for behind it.
    pub loads_in_flight: u32,
}

/// Reads assembly.
pub fn inspect(assembly: &str) -> MainLoop {
    let blocks = blocks(assembly);
    let Some(most) = (0..blocks.len()).max_by_key(|&at| multiply_adds(&blocks[at].instructions)) else {
        return MainLoop::default();
    };
    // Of the loops around the block, the innermost. Without one, everything counts.
    let all = 0..=blocks.len() - 1;
    let mut around: Vec<_> = loops(&blocks).into_iter().filter(|blocks| blocks.contains(&most)).collect();
    around.sort_by_key(|blocks| blocks.end() - blocks.start());
    let innermost = around.first().cloned().unwrap_or(all.clone());
    let instructions: Vec<&str> = blocks[innermost.clone()].iter().flat_map(|it| it.instructions.clone()).collect();
    let percent = 100 * multiply_adds(&instructions) / instructions.len().max(1);
    // Where a loop is one block, loads are issued in the loop around it.
    let is_one_block = innermost.end() - innermost.start() <= 1;
    let outer = if is_one_block { around.get(1).cloned().unwrap_or(all) } else { innermost };
    let is_in_a_loop = !around.is_empty();
    let before = path(&blocks, *outer.start(), most);
    let loads_in_flight = if is_in_a_loop { in_flight(&before, &blocks[most]) } else { 0 };
    MainLoop { multiply_adds: percent as u32, loads_in_flight }
}

struct Block<'a> {
    label: &'a str,
    instructions: Vec<&'a str>,
}

fn blocks(assembly: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = vec![];
    for line in assembly.lines() {
        let code = line.split(';').next().unwrap_or_default().trim();
        match (code.strip_suffix(':'), blocks.last_mut()) {
            (Some(label), _) => blocks.push(Block { label, instructions: vec![] }),
            (None, Some(block)) if !code.is_empty() => block.instructions.push(code),
            _ => {}
        }
    }
    blocks
}

/// From the first block of each loop to its last. Several branches back to one block are one loop.
fn loops(blocks: &[Block<'_>]) -> Vec<RangeInclusive<usize>> {
    let ends_of = |start: usize| {
        let is_back = |block: &&Block<'_>| block.instructions.iter().any(|it| target(it) == Some(blocks[start].label));
        Some(start..=start + blocks[start..].iter().rposition(|block| is_back(&block))?)
    };
    (0..blocks.len()).filter_map(ends_of).collect()
}

fn target(instruction: &str) -> Option<&str> {
    let (name, target) = instruction.split_once(char::is_whitespace)?;
    (name == "s_branch" || name.starts_with("s_cbranch")).then(|| target.trim())
}

/// Multiplications with an addition, packed ones as one; RDNA 3 may have two in an instruction.
fn multiply_adds(instructions: &[&str]) -> usize {
    const NAMES: [&str; 9] =
        ["v_fma", "v_mac_f", "v_mad_f", "v_mad_mix", "v_pk_fma", "v_pk_mad_f", "v_dot", "v_dual_fma", "v_wmma"];
    let is_one = |part: &str| NAMES.iter().any(|name| part.trim_start().starts_with(name));
    instructions.iter().flat_map(|it| it.split("::")).filter(|part| is_one(part)).count()
}

/// The blocks that are run from one to before another where no condition jumps: those in `else` are left out.
fn path<'a, 'b>(blocks: &'b [Block<'a>], start: usize, end: usize) -> Vec<&'b Block<'a>> {
    let mut path = vec![];
    let mut at = start;
    while at < end {
        path.push(&blocks[at]);
        let last = blocks[at].instructions.last().filter(|it| it.starts_with("s_branch"));
        let jump = last.and_then(|it| blocks.iter().position(|block| Some(block.label) == target(it)));
        at = jump.filter(|&to| (at + 1..=end).contains(&to)).unwrap_or(at + 1);
    }
    path
}

fn in_flight(before: &[&Block<'_>], block: &Block<'_>) -> u32 {
    let is_multiply_add = |it: &&str| multiply_adds(&[*it]) > 0;
    let Some(first) = block.instructions.iter().position(is_multiply_add) else { return 0 };
    let last = block.instructions.iter().rposition(is_multiply_add).unwrap_or(first);
    let mut loads = 0;
    let (issuing, multiplying) = (&block.instructions[..first], &block.instructions[first..last]);
    for instruction in before.iter().flat_map(|block| &block.instructions).chain(issuing) {
        loads = waited(loads, instruction) + u32::from(is_load(instruction));
    }
    // A wait leaves the last ones out: those that were issued among the multiplications come on top.
    let mut among = 0;
    for instruction in multiplying {
        if let Some(left) = left_by(instruction) {
            among = among.min(left);
            loads = loads.min(left - among);
        }
        among += u32::from(is_load(instruction));
    }
    loads
}

fn waited(loads: u32, instruction: &str) -> u32 {
    left_by(instruction).map_or(loads, |left| loads.min(left))
}

/// Up to how many loads may be under way behind this instruction.
fn left_by(instruction: &str) -> Option<u32> {
    let (_, count) = instruction.strip_prefix("s_waitcnt")?.split_once("vmcnt(")?;
    count.split(')').next()?.parse().ok()
}

fn is_load(instruction: &str) -> bool {
    ["buffer_load", "global_load", "flat_load"].iter().any(|name| instruction.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPELINED: &str = "BB0:
\ts_mov_b32 s0, 0                        ; be800380
\tbuffer_load_dwordx4 v[0:3], v0, s[0:3], 0 offen ; e0381000 80000000
\ts_waitcnt vmcnt(0)                     ; bf8c3f70
BB1:
\tbuffer_load_dwordx4 v[4:7], v0, s[0:3], 0 offen ; e0381000 80000400
\tbuffer_load_dwordx4 v[8:11], v1, s[0:3], 0 offen ; e0381000 80000801
BB2:
\ts_cbranch_scc1 BB4                     ; bf850000
BB3:
\tv_fmac_f32_e32 v20, v21, v22           ; 00000000
\tv_dual_fmac_f32 v1, v2, v3 :: v_dual_fmac_f32 v4, v5, v6 ; 00000000 00000000
\ts_branch BB2                           ; bf820000
BB4:
\ts_waitcnt vmcnt(1)                     ; bf8c3f71
\tds_write_b128 v0, v[4:7]               ; d9bc0000 00000400
\ts_cbranch_scc0 BB1                     ; bf840000
BB5:
\ts_endpgm                               ; bf810000
";

    #[test]
    fn loads_before_a_loop_are_in_flight_until_they_are_waited_for() {
        assert_eq!(inspect(PIPELINED), MainLoop { multiply_adds: 75, loads_in_flight: 2 });
        let early = PIPELINED.replace("BB2:\n", "BB2:\n\ts_waitcnt vmcnt(1)\n");
        assert_eq!(inspect(&early), MainLoop { multiply_adds: 60, loads_in_flight: 1 });
        let sunk = PIPELINED.replace("\tbuffer_load_dwordx4 v[4", "\ts_nop 0\n\tbuffer_load_dwordx4 v[4");
        let (loads, rest): (Vec<&str>, Vec<&str>) =
            sunk.lines().partition(|line| line.contains("v[4:7], v0") || line.contains("v[8:11]"));
        let sunk = rest.join("\n").replace("BB4:", &format!("BB4:\n{}", loads.join("\n")));
        assert_eq!(inspect(&sunk).loads_in_flight, 0);
    }

    #[test]
    fn a_shader_without_loops_counts_as_a_whole() {
        let straight = "BB0:\n\tbuffer_load_dword v0, v1, s[0:3], 0\n\ts_waitcnt vmcnt(0)\n\tv_pk_fma_f16 v0, v1, v2, v3\n\ts_endpgm";
        assert_eq!(inspect(straight), MainLoop { multiply_adds: 25, loads_in_flight: 0 });
        assert_eq!(inspect(""), MainLoop::default());
    }
}
