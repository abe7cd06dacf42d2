#!/bin/bash
# SPDX-License-Identifier: MIT
# Run in a Debian guest: builds a small project again and again beside
# stress-ng, for so many seconds; the program that comes out says if the
# compiler was right.  Ends in a line "LOAD stress STATUS builds N bad N".
# usage: load.sh SECONDS
end=$(($(date +%s) + $1))
stress-ng --cpu 1 --vm 1 --vm-bytes 48M --fork 2 --switch 2 --pipe 1 --mmap 1 \
    --mmap-bytes 32M --futex 1 --timer 1 --sigfd 1 --hdd 1 --hdd-bytes 32M \
    --verify --timeout "$1s" --temp-path /root --metrics-brief &
stress=$! builds=0 bad=0

write_project() {
    local i
    rm -rf /root/project && mkdir /root/project && cd /root/project || exit 1
    for i in $(seq 24); do
        cat >f"$i".c <<C
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
unsigned f$i(unsigned x)
{
    char text[64];
    unsigned a[$i + 3], sum = 0;
    for (unsigned i = 0; i < $i + 3; i++)
        a[i] = (x + i) * ${i}u;
    for (unsigned i = 0; i < $i + 3; i++)
        sum = sum * 31 + a[i];
    snprintf(text, sizeof(text), "%u", sum);
    return (unsigned)strtoul(text, NULL, 10);
}
C
        echo "unsigned f$i(unsigned);" >>all.h
        echo "x = f$i(x);" >>calls.h
    done
    cat >main.c <<'C'
#include <stdio.h>
#include "all.h"
int main(void)
{
    unsigned x = 1;
#include "calls.h"
    printf("%u\n", x);
    return 0;
}
C
    printf 'prog: %s\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O2 -c $<\n' \
        "$(for i in *.c; do printf '%s ' "${i%.c}.o"; done)" >Makefile
}

while [ "$(date +%s)" -lt "$end" ]; do
    write_project
    make -s -j4 && sum=$(./prog) || sum="no program"
    [ "$sum" = "${want:=$sum}" ] && [ "$sum" != "no program" ] || bad=$((bad + 1))
    builds=$((builds + 1))
done
wait $stress
echo "LOAD stress $? builds $builds bad $bad"
