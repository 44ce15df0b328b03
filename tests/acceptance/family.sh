#!/bin/sh
# A program with children and grandchildren, that writes down who they are, and ends when told to.
file="$1"
sh -c 'sleep 1000 & echo $! >> "$0"; echo $$ >> "$0"; wait' "$file" &
echo $! >> "$file"
echo $$ >> "$file"
echo "all are there"
wait
