set -e
echo "checking the source"
test -s lines.txt
echo "compiling $(wc -l < lines.txt) lines" | tr -s ' '
tr a-z A-Z < lines.txt > lines.out
echo "done"
