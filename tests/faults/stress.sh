# SPDX-License-Identifier: BSD-2-Clause
# Runs stress-ng's stressors one after the other, each on all CPUs, and from the first again after the last.
#
#     stress.sh LIST SECONDS INSTANCES
#
# Standard output: "stressor NAME" when one begins, "ended NAME STATUS" and "ops N" when it has ended, "wrong TEXT" for
# what it says when it failed. When standard input ends: no further one begins, then "final N" and the end.
folder=/var/tmp/stress
mkdir -p "$folder"
rm -f "$folder/end"
# A process in the background has an empty input, unless it is another descriptor's.
exec 3<&0
(cat > /dev/null; : > "$folder/end") <&3 &
count=0
while [ ! -e "$folder/end" ]; do
	while read -r name && [ ! -e "$folder/end" ]; do
		echo "stressor $name"
		said=$(stress-ng --"$name" "$3" --verify --timeout "$2s" --temp-path "$folder" 2>&1 < /dev/null)
		status=$?
		count=$((count + 1))
		echo "ended $name $status"
		echo "ops $count"
		# 3: the machine has not what it takes; 4: not on this architecture or kernel.
		case $status in
		0 | 3 | 4) ;;
		*) echo "$said" | grep -v ' info: ' | tail -n 8 | sed "s/^/wrong $name, status $status: /" ;;
		esac
	done < "$1"
done
echo "final $count"
